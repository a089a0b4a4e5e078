"""Processes die under agents that are walking, and what was accepted happens exactly once."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil
import pytest
import trio

from common.frames import Position
from ops.client import connect, open_session, sign_up
from ops.client.account import open_http
from tests.end_to_end.cluster import GENEROUS, Cluster, tessera_up
from tests.end_to_end.stranger import connected, joined, session_of, signed_up
from tests.end_to_end.test_agents import floor_cell_near

pytestmark = pytest.mark.cluster

DRAIN_SECONDS = 1
CUT_SECONDS_MAX = 2.0  # To end after that, on a machine with other work.
END_SECONDS_MAX = 20.0


@pytest.mark.parametrize("role", ["shard", "gateway", "redis", "postgres"])
async def test_an_accepted_walk_ends_although_a_process_was_killed(data: Path, role: str) -> None:
    with tessera_up(data, shards=2) as cluster, trio.fail_after(60):
        async with connect(cluster.url(), "walker") as agent:
            goal = floor_cell_near(agent, 25)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.to_thread.run_sync, kill_soon, cluster, role)
                result = await agent.move_to(goal.x, goal.y)
            assert (result.status, result.position) == ("completed", Position(goal.x, goal.y))
            assert result.seq == 2  # The ack was 1: nothing was done twice.
            await agent.say("and on it goes")


def kill_soon(cluster: Cluster, role: str) -> None:
    time.sleep(1.0)
    for n in range(2 if role == "shard" else 1):
        cluster.kill(role, n)


async def test_a_drain_that_is_cut_off_says_so_and_what_was_accepted_is_done_once(
    data: Path,
) -> None:
    """Without Redis nothing can be handed over, and the grace runs out."""
    environment = {**GENEROUS, "TESSERA_DRAIN_SECONDS": str(DRAIN_SECONDS)}
    with (
        tessera_up(data, shards=1, environment=environment) as cluster,
        trio.fail_after(60),
    ):
        async with joined(cluster.url(), "sleeper") as agent:
            ack = await agent.ask("c-1", {"name": "wait", "ticks": 20})
            assert ack["status"] == "accepted"
            shard = psutil.Process(cluster.told("shard", 0)["pid"])
            cluster.kill("redis", 0, signal.SIGSTOP)
            try:
                began = time.monotonic()
                shard.terminate()
                await trio.to_thread.run_sync(shard.wait, END_SECONDS_MAX)
                seconds = time.monotonic() - began
            finally:
                cluster.kill("redis", 0, signal.SIGCONT)
            assert DRAIN_SECONDS <= seconds < DRAIN_SECONDS + CUT_SECONDS_MAX
            result = await agent.next_for("c-1", "result")
            assert (result["status"], result["seq"]) == ("completed", 2)
            assert (await agent.ask("c-2", {"name": "say", "text": "on"}))["status"] == "accepted"
            await agent.next_for("c-2", "result")
            told = [frame["id"] for frame in agent.frames if frame["type"] == "result"]
            assert told == ["c-1", "c-2"]
        assert "cut off before all was handed over" in cluster.log()


async def test_a_world_started_again_is_as_it_was_left(data: Path) -> None:
    with tessera_up(data) as cluster, trio.fail_after(30):
        async with open_http(cluster.url()) as http:
            who = await sign_up(http, "dweller")
        async with connect(cluster.url(), "dweller", credentials=who) as agent:
            goal = floor_cell_near(agent, 6)
            await agent.move_to(goal.x, goal.y)
    assert cluster.process.returncode == 0
    with tessera_up(data) as cluster, trio.fail_after(30):
        async with connect(cluster.url(), "dweller", credentials=who) as agent:
            assert agent.position == Position(goal.x, goal.y)


async def test_stopping_says_goodbye_and_leaves_nobody_behind(data: Path) -> None:
    with tessera_up(data) as cluster, trio.fail_after(30):
        who = await signed_up(cluster.url(), "guest")
        session = await session_of(cluster.url(), who["api_key"])
        async with connected(cluster.url(), session, who["agent_id"]) as agent:
            began = time.monotonic()
            cluster.process.send_signal(signal.SIGTERM)
            assert await agent.close_code() == 1012
            goodbye = agent.frames[-1]
            assert (goodbye["type"], goodbye["code"], goodbye["resume"]) == ("goodbye", 1012, True)
        await trio.to_thread.run_sync(cluster.process.wait)
        assert time.monotonic() - began < 5
        assert cluster.process.returncode == 0
        assert list((cluster.data / "run").glob("*.json")) == []


async def test_a_session_survives_a_restart_of_the_world(data: Path) -> None:
    """Its command, in flight when everything stopped, ends when it is back."""
    with tessera_up(data) as cluster, trio.fail_after(30):
        async with open_http(cluster.url()) as http:
            who = await sign_up(http, "sleeper")
            await open_session(http, who.api_key)
        session = await session_of(cluster.url(), who.api_key)
        async with connected(cluster.url(), session, who.agent_id) as agent:
            token = agent.ready["resume_token"]
            ack = await agent.ask("c-1", {"name": "wait", "ticks": 20})
            assert ack["status"] == "accepted"
    with tessera_up(data) as cluster, trio.fail_after(30):
        query = f"?resume={token}&last_seq=1"
        async with connected(cluster.url(), session, who.agent_id, query) as agent:
            result = await agent.next("result")
            assert (result["id"], result["seq"], result["status"]) == ("c-1", 2, "completed")
