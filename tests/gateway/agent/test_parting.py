"""A session that ends under a command: the client is told how that ended, then goodbye."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from common.adapters.memory_gateway_bus import MemoryGatewayBus
from common.bus import Offer
from common.envelopes import CancelOffered, CommandOffered, Detach
from common.grid import GatewayId, SessionId, Slot
from common.limits import (
    CLOSE_SECONDS_MAX,
    LINES_WAIT_SECONDS,
    PARTING_SECONDS_MAX,
    PRESENCE_BEAT_SECONDS,
)
from tests.gateway.agent.scene import HERE, MOVE, SAY, Client, Scene, a_scene


async def end(scene: Scene, client: Client) -> None:
    """As DELETE does it: first the gateway hears of it, then the shard."""
    ticket, bus = client.ticket, MemoryGatewayBus(scene.redis)
    await scene.accounts.end_session(ticket.session, scene.clock.now())
    await bus.end(ticket.session, replaced=False)
    await bus.offer([Offer(slot=Slot(0), message=Detach(ticket.session, ticket.agent, HERE))])


async def expect_result(client: Client, code: int) -> None:
    result = await client.until("result")
    assert (result["id"], result["seq"]) == ("c-1", 2)
    assert (result["status"], result["reason"]) == ("failed", "session_ended")
    goodbye, closed = await client.end()
    assert (goodbye["code"], goodbye["resume"], closed) == (code, False, code)
    assert [frame["type"] for frame in client.seen].count("result") == 1


async def test_a_session_that_is_ended_brings_the_result_of_its_command(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.command("c-1")
        began = trio.current_time()
        await end(scene, client)
        await expect_result(client, 4003)
        assert trio.current_time() - began <= 2 * LINES_WAIT_SECONDS


async def test_a_newer_session_brings_the_result_of_the_older_ones_command(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.command("c-1")
        began = trio.current_time()
        await scene.ticket()
        await expect_result(client, 4001)
        assert trio.current_time() - began <= 2 * LINES_WAIT_SECONDS
        assert scene.shard.of(Detach) == [], "the newer session finds its agent in the world"


async def test_a_session_whose_time_is_up_brings_the_result_of_its_command(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket(seconds=50))
        await client.command("c-1")
        await expect_result(client, 4003)


async def test_a_session_found_to_have_ended_brings_the_result_of_its_command(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.command("c-1")
        scene.redis.cut()
        await scene.accounts.end_session(client.ticket.session, scene.clock.now())
        await trio.sleep(0.2)  # Now it knows, and the shard does not yet.
        await end(scene, client)
        await expect_result(client, 4003)


async def test_a_say_that_is_accepted_gets_its_result_too(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        scene.shard.deaf = True
        await client.offer("c-1", SAY)
        while not (offered := scene.shard.of(CommandOffered)):
            await trio.sleep(0.01)
        await MemoryGatewayBus(scene.redis).end(client.ticket.session, replaced=False)
        await trio.sleep(0.1)
        scene.shard.deaf = False
        await scene.shard.hear(offered[0])
        assert (await client.until("ack"))["status"] == "accepted"
        assert (await client.until("result"))["status"] == "completed"
        assert (await client.end())[1] == 4003


async def test_who_has_nothing_in_flight_is_closed_at_once(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.command("c-1", SAY)
        await client.until("result")
        began = trio.current_time()
        await scene.ticket()
        await client.end()
        assert trio.current_time() - began < 0.1
        assert scene.shard.of(CancelOffered) == []


@pytest.mark.parametrize("redis_is_down", [False, True])
async def test_a_result_that_does_not_come_is_not_waited_for_long(
    autojump_clock: MockClock, redis_is_down: bool
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.command("c-1")
        scene.shard.deaf = True
        began = trio.current_time()
        await end(scene, client)
        scene.redis.down = redis_is_down
        assert (await client.end())[1] == 4003
        assert trio.current_time() - began <= PARTING_SECONDS_MAX
        assert "result" not in [frame["type"] for frame in client.seen]


async def test_nothing_is_begun_in_a_session_that_is_over(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        ack = await client.command("c-1")
        scene.shard.deaf = True
        await end(scene, client)
        await trio.sleep(0.1)
        answer = {
            "nonce": ack["challenge"]["nonce"],
            "signature": client.sign("c-2", SAY, ack["challenge"]),
        }
        await client.say(type="command_req", id="c-2", command=SAY, answer=answer)
        await client.say(type="command_req", id="c-3", command=MOVE)
        await client.end()
        assert [message.id for message in scene.shard.of(CommandOffered)] == ["c-1"]
        assert [frame.get("id") for frame in client.seen if frame["type"] == "ack"] == ["c-1"]


async def test_a_session_that_is_over_is_not_kept_present(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.command("c-1")
        scene.shard.deaf = True
        refreshed: list[Sequence[tuple[SessionId, int]]] = []

        async def refresh(
            _: GatewayId, connections: Sequence[tuple[SessionId, int]]
        ) -> Sequence[SessionId]:
            refreshed.append(connections)
            return []

        monkeypatch.setattr(scene.outside.bus, "refresh", refresh)
        beats = trio.current_time() // PRESENCE_BEAT_SECONDS + 1
        await trio.sleep_until(beats * PRESENCE_BEAT_SECONDS - 0.5)
        await end(scene, client)
        await trio.sleep(PARTING_SECONDS_MAX + CLOSE_SECONDS_MAX)
        assert refreshed == [[]]
