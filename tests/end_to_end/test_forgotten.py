"""A Redis that loses all its data at once, and no connection: agents and spectators go on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import redis
import trio

from common.frames import ChunkDelta, ChunkStatic
from common.grid import ChunkId
from common.limits import PRESENCE_BEAT_SECONDS, TICK_HZ
from ops.client import View, connect, spectate
from tests.end_to_end.cluster import Cluster, tessera_up
from tests.end_to_end.stranger import connected, session_of, signed_up
from tests.end_to_end.test_agents import floor_cell_near, until
from tests.end_to_end.test_spectators import place_of

pytestmark = pytest.mark.cluster

BACK_SECONDS = PRESENCE_BEAT_SECONDS + 5.0  # A beat; and slots are taken anew, as after a lease.
AT_ONCE_SECONDS = 4.0
WAIT_TICKS = 20  # Unheard acks are looked for after 2 s, when it goes on still; results after 20 s.


def forget(cluster: Cluster) -> None:
    password = (cluster.data / "redis" / "password").read_text()
    port = cluster.told("redis", 0)["port"]
    with redis.Redis(host="127.0.0.1", port=port, password=password) as client:
        client.flushall()


async def test_commands_and_streams_go_on_when_redis_has_forgotten_everything(data: Path) -> None:
    with tessera_up(data, gateways=2) as cluster, trio.fail_after(90):
        view = View()

        async def watch() -> None:
            async with spectate(cluster.url(1), [ChunkId("0:0")]) as events:
                async for event in events:
                    if isinstance(event.frame, ChunkStatic | ChunkDelta):
                        view.see(event.frame)  # Raises when a gap was not told.

        async with connect(cluster.url(), "ada") as agent, trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await agent.say("before")
            goal = floor_cell_near(agent, 12)
            nursery.start_soon(forget_soon, cluster)
            result = await agent.move_to(goal.x, goal.y)
            assert result.status == "completed"
            await trio.sleep(BACK_SECONDS)
            with trio.fail_after(WAIT_TICKS / TICK_HZ + AT_ONCE_SECONDS):
                await agent.wait(WAIT_TICKS)
            goal = floor_cell_near(agent, 3)
            await agent.move_to(goal.x, goal.y)
            with trio.fail_after(AT_ONCE_SECONDS):
                await until(lambda: place_of(view, agent) == goal)
            nursery.cancel_scope.cancel()


async def forget_soon(cluster: Cluster) -> None:
    await trio.sleep(1.0)
    await trio.to_thread.run_sync(forget, cluster)


async def test_the_end_of_a_session_is_told_although_redis_had_forgotten_it(data: Path) -> None:
    with tessera_up(data) as cluster, trio.fail_after(60):
        who = await signed_up(cluster.url(), "bob")
        session = await session_of(cluster.url(), who["api_key"])
        async with connected(cluster.url(), session, who["agent_id"]) as agent:
            forget(cluster)
            await trio.sleep(BACK_SECONDS)
            began = time.monotonic()
            await session_of(cluster.url(), who["api_key"])  # A newer one ends it.
            assert await agent.close_code() == 4001
            assert time.monotonic() - began < AT_ONCE_SECONDS
