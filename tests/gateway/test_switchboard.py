from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import attrs
import pytest
import trio
import trio.testing

from common.adapters.memory_gateway_bus import MemoryGatewayBus
from common.adapters.memory_redis import MemoryRedis
from common.bus import Delta, Restored
from common.envelopes import AckLine, Shown
from common.grid import ChunkId, CommandId, GatewayId, SessionId, Tick
from common.limits import AGENT_QUEUE_MAX, INBOUND_AT_ONCE
from gateway.switchboard import SessionMessage, Switchboard

HERE = GatewayId("gateway-1")
ADA, BOB = SessionId("ses_ada"), SessionId("ses_bob")


@attrs.define
class Chunks:
    heard: list[Delta | Shown | Restored] = attrs.field(factory=list)

    def hear(self, message: Delta | Shown | Restored) -> None:
        self.heard.append(message)


@attrs.frozen
class Scene:
    redis: MemoryRedis
    chunks: Chunks
    switchboard: Switchboard

    def tell(self, session: SessionId, *ids: str) -> None:
        for id in ids:
            self.redis.send(HERE, a_line(session, id))


@asynccontextmanager
async def a_scene() -> AsyncIterator[Scene]:
    redis, chunks = MemoryRedis(), Chunks()
    switchboard = Switchboard(MemoryGatewayBus(redis), HERE, chunks)
    async with trio.open_nursery() as nursery:
        await nursery.start(switchboard.run)
        yield Scene(redis, chunks, switchboard)
        nursery.cancel_scope.cancel()


def a_line(session: SessionId, id: str) -> AckLine:
    return AckLine(session, CommandId(id), seq=1, tick=Tick(1))


async def soon() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_a_session_hears_what_is_meant_for_it_in_order() -> None:
    async with a_scene() as scene:
        with scene.switchboard.session(ADA) as ada, scene.switchboard.session(BOB) as bob:
            scene.tell(ADA, "a", "b")
            scene.tell(BOB, "c")
            await soon()
            assert [ada.receive_nowait(), ada.receive_nowait()] == [
                a_line(ADA, "a"),
                a_line(ADA, "b"),
            ]
            assert bob.receive_nowait() == a_line(BOB, "c")
            with pytest.raises(trio.WouldBlock):
                ada.receive_nowait()


async def test_what_is_meant_for_nobody_here_is_passed_over() -> None:
    async with a_scene() as scene:
        scene.tell(ADA, "a")
        await soon()
        with scene.switchboard.session(ADA) as ada:
            scene.tell(ADA, "b")
            await soon()
            assert ada.receive_nowait() == a_line(ADA, "b")


async def test_both_connections_of_a_session_hear_everything() -> None:
    async with a_scene() as scene:
        with scene.switchboard.session(ADA) as one:
            with scene.switchboard.session(ADA) as other:
                scene.tell(ADA, "a")
                await soon()
                assert one.receive_nowait() == other.receive_nowait() == a_line(ADA, "a")
            scene.tell(ADA, "b")
            await soon()
            assert one.receive_nowait() == a_line(ADA, "b")


async def test_an_overflow_ends_the_channel_after_what_was_queued() -> None:
    async with a_scene() as scene:
        with scene.switchboard.session(ADA) as ada, scene.switchboard.session(BOB) as bob:
            scene.tell(ADA, *map(str, range(AGENT_QUEUE_MAX + 1)))
            scene.tell(BOB, "b")
            await soon()
            assert [line async for line in ada] == [
                a_line(ADA, str(number)) for number in range(AGENT_QUEUE_MAX)
            ]
            assert bob.receive_nowait() == a_line(BOB, "b")


async def test_everybody_hears_that_the_subscription_was_lost(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with a_scene() as scene:
        with scene.switchboard.session(ADA) as ada:
            scene.redis.cut()
            await trio.sleep(1)
            assert ada.receive_nowait() == Restored()
            assert scene.chunks.heard == [Restored()]


async def test_chunks_hear_of_chunks() -> None:
    async with a_scene() as scene:
        shown = Shown(ChunkId("0:0"), "{}")
        scene.redis.send(HERE, shown)
        await soon()
        assert scene.chunks.heard == [shown]


async def test_a_session_that_left_leaves_nothing_behind() -> None:
    async with a_scene() as scene:
        with scene.switchboard.session(ADA):
            pass
        assert not scene.switchboard._sessions


async def test_what_waits_is_forwarded_first_and_then_everything_at_once() -> None:
    async with a_scene() as scene:
        with scene.switchboard.session(ADA) as one, scene.switchboard.session(ADA) as other:
            scene.tell(ADA, "a", "b")
            await soon()
            heard: list[SessionMessage] = []
            assert scene.switchboard.forward(ADA, one, heard.append)
            assert heard == [a_line(ADA, "a"), a_line(ADA, "b")]
            scene.tell(ADA, "c")
            await soon()
            assert heard[2:] == [a_line(ADA, "c")]
            with pytest.raises(trio.WouldBlock):
                one.receive_nowait()
            assert [other.receive_nowait() for _ in range(3)] == heard
        scene.tell(ADA, "d")
        await soon()
        assert len(heard) == 3, "nobody hears after the end of the block"


async def test_who_was_told_too_much_before_forwarding_hears_of_it() -> None:
    async with a_scene() as scene:
        with scene.switchboard.session(ADA) as ada:
            scene.tell(ADA, *map(str, range(AGENT_QUEUE_MAX + 1)))
            await soon()
            heard: list[SessionMessage] = []
            assert not scene.switchboard.forward(ADA, ada, heard.append)
            assert len(heard) == AGENT_QUEUE_MAX


async def test_what_came_together_is_handed_on_in_one_round() -> None:
    rounds: list[int] = []

    @contextmanager
    def a_round() -> Iterator[None]:
        before = len(heard)
        yield
        rounds.append(len(heard) - before)

    async with a_scene() as scene:
        heard: list[SessionMessage] = []
        scene.switchboard.round = a_round
        with scene.switchboard.session(ADA) as ada:
            scene.switchboard.forward(ADA, ada, heard.append)
            scene.tell(ADA, *map(str, range(INBOUND_AT_ONCE + 5)))
            await soon()
    assert heard == [a_line(ADA, str(number)) for number in range(INBOUND_AT_ONCE + 5)]
    assert rounds == [INBOUND_AT_ONCE + 1, 4]
