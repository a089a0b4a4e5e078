"""A refusal is the last word: whoever dies, stands still or says it twice."""

from __future__ import annotations

import attrs
import pytest
import trio
from trio.testing import MockClock

from common import topics
from common.adapters.memory_journal import MemoryJournal
from common.adapters.memory_shard_bus import MemoryShardBus
from common.bus import Outgoing
from common.commands import Say, Wait
from common.envelopes import AckLine, CancelOffered
from common.errors import InDoubt
from common.grid import AgentId, ChunkId, CommandId, SessionId, Slot
from common.limits import LEASE_MS, REDIS_SECONDS_MAX
from tests.shard.town import AREA, Town

ANN = SessionId("ses_ann")


@pytest.fixture
def shard_count() -> int:
    return 2


class Hindered(MemoryShardBus):
    """Publications wait for ``gate``. Nothing is trimmed, as by a shard that is killed before."""

    def __init__(self, town: Town) -> None:
        super().__init__(town.redis)
        self.gate = trio.Event()
        self.gate.set()
        self.waiting = trio.Event()

    async def publish(
        self, slot: Slot, holder: str, outgoing: Outgoing
    ) -> frozenset[ChunkId] | None:
        if outgoing.refusals or outgoing.forwards:
            self.waiting.set()
        with trio.CancelScope(shield=True):  # Under way already: nobody can take it back.
            await self.gate.wait()
            lost = await super().publish(slot, holder, outgoing)
        await trio.lowlevel.checkpoint()
        return lost

    async def done(self, slot: Slot, upto: str) -> None:
        pass


class Stuttering(MemoryShardBus):
    """Whatever is published loses its answer the first time."""

    def __init__(self, town: Town) -> None:
        super().__init__(town.redis)
        self.said: list[Outgoing] = []

    async def publish(
        self, slot: Slot, holder: str, outgoing: Outgoing
    ) -> frozenset[ChunkId] | None:
        lost = await super().publish(slot, holder, outgoing)
        if outgoing not in self.said:
            self.said.append(outgoing)
            raise InDoubt("the answer was lost")
        return lost


def holder_of(town: Town, chunk: str) -> str:
    return topics.process_of(town.redis.leases[town.slot(chunk)][0])


def elsewhere(town: Town) -> str:
    """A chunk of the slot that ann is not in."""
    return next(chunk for chunk in AREA if town.slot(chunk) != town.slot("0:0"))


async def two(town: Town, bus: MemoryShardBus) -> None:
    """Let both slots be held, by shards with ``bus``, and ann be in the world."""
    for name in ("s1", "s2"):
        town.start(name, attrs.evolve(town.outside(), bus=bus))
    await town.join("ann")
    while len(town.redis.leases) < 2:
        await trio.sleep(0.1)


async def keep_busy(town: Town) -> None:
    await town.offer(town.command("ann", "w1", Wait(50)))
    await town.wait_for(lambda: town.acks("w1"))


async def end_wait(town: Town) -> None:
    await town.offer(CancelOffered(ANN, AgentId("ann"), CommandId("w1"), ChunkId("0:0")))
    await town.wait_for(lambda: town.results("w1"))


def is_known(town: Town, id: str) -> bool:
    return (ANN, CommandId(id)) in town.postgres.commands


async def test_what_was_forwarded_and_refused_is_not_forwarded_again_by_who_comes_next(
    autojump_clock: MockClock, town: Town
) -> None:
    await two(town, Hindered(town))
    await keep_busy(town)
    await town.offer(town.command("ann", "c1", Wait(1), chunk=elsewhere(town)))
    await town.wait_for(lambda: town.acks("c1"))
    assert [ack.code for ack in town.acks("c1")] == ["in_flight"]
    await end_wait(town)
    await town.kill(holder_of(town, elsewhere(town)))
    town.start("s3")
    await town.offer(town.command("ann", "c2", Say("hello"), chunk=elsewhere(town)))
    await town.wait_for(lambda: town.results("c2"))
    await trio.sleep(5)
    assert not is_known(town, "c1")


async def test_a_shard_that_lost_its_slot_refuses_nothing_any_more(
    autojump_clock: MockClock, town: Town
) -> None:
    """Its last words are under way while another takes over, and accepts what it refused."""
    bus = Hindered(town)
    await two(town, bus)
    await keep_busy(town)
    bus.gate, bus.waiting = trio.Event(), trio.Event()
    await town.offer(attrs.evolve(town.command("ann", "c1", Wait(1)), expires_at_ms=2**60))
    await bus.waiting.wait()
    slot, victim = town.slot("0:0"), holder_of(town, "0:0")
    town.processes[victim].scope.cancel()
    await trio.sleep(LEASE_MS / 1000)
    town.start("s3")
    await town.wait_for(lambda: town.results("w1"))
    await town.offer(town.command("ann", "c2", Say("hello")))
    await town.wait_for(lambda: town.results("c2"))
    assert topics.process_of(town.redis.leases[slot][0]) == "s3"
    before = len(town.heard)
    bus.gate.set()
    await trio.sleep(5)

    # Whoever has the slot has had the only word on it.
    codes = {ack.code for ack in town.acks("c1")}
    assert codes == ({None} if is_known(town, "c1") else {"in_flight"})
    assert [m for m in town.heard[before:] if isinstance(m, AckLine) and m.code] == []


async def test_what_is_published_twice_refuses_and_forwards_once(
    autojump_clock: MockClock, town: Town
) -> None:
    await two(town, Stuttering(town))
    await keep_busy(town)
    await town.offer(town.command("ann", "c1", Wait(1), chunk=elsewhere(town)))
    await town.wait_for(lambda: town.acks("c1"))
    await trio.sleep(5)
    assert [ack.code for ack in town.acks("c1")] == ["in_flight"]
    assert [one for slot in town.redis.slots.values() for one in slot.entries] == []


async def test_a_slot_that_is_somebody_else_s_is_lost_by_who_publishes_to_it(
    autojump_clock: MockClock, town: Town
) -> None:
    await two(town, MemoryShardBus(town.redis))
    await keep_busy(town)
    slot, victim = town.slot("0:0"), holder_of(town, "0:0")
    town.redis.leases[slot] = ("somebody", town.redis.now_ms() + LEASE_MS)
    deltas = sum(map(len, town.deltas.values()))
    for message in (town.command("ann", "c1", Wait(1)), town.command("ann", "s1", Say("hello"))):
        await town.offer(message)
        await trio.sleep(0.1)  # Twice, it is less than until the lease is renewed.
    assert sum(map(len, town.deltas.values())) == deltas, "nothing is published any more"
    assert town.acks("s1") + town.acks("c1") == []
    await town.wait_for(lambda: town.results("s1") and town.results("w1") and town.acks("c1"))
    town.assert_answered_once("ann", "s1", "w1")
    assert len(town.acks("c1")) == 1
    # Under a name of its own, so that what it had under way finds the slot taken.
    assert town.redis.leases[slot][0] == f"{victim}/2"


async def test_a_command_for_a_chunk_that_cannot_be_loaded_is_not_refused(
    autojump_clock: MockClock, town: Town
) -> None:
    """Who held the chunk before may still be writing to it."""
    town.start("s1")
    town.start("s2")
    await town.join("ann")
    await town.kill(holder_of(town, "0:0"))
    offer = town.command("ann", "c1", Say("hello"))
    outside = town.outside()
    journal = Unloading(town.postgres)
    town.start("s3", attrs.evolve(outside, journal=journal))
    await trio.sleep(LEASE_MS / 1000 + 1)
    await town.offer(attrs.evolve(offer, expires_at_ms=2**60))
    await trio.sleep(REDIS_SECONDS_MAX)
    assert town.acks("c1") == []
    assert town.redis.stream(town.slot("0:0")).entries == [], "it was taken away, so that"
    journal.is_away = False
    await town.offer(attrs.evolve(offer, expires_at_ms=2**60))  # its gateway can offer it again.
    await town.wait_for(lambda: town.results("c1"))
    assert [ack.code for ack in town.acks("c1")] == [None]


class Unloading(MemoryJournal):
    """Takes no chunks while ``is_away``."""

    is_away = True

    async def take(self, chunks, holder, topology=None):  # type: ignore[no-untyped-def]
        if self.is_away:
            raise InDoubt("no answer")
        return await super().take(chunks, holder, topology)
