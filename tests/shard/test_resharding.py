"""The number of shards changes while the world runs, over memory adapters."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import attrs
import pytest
import trio
from trio.testing import MockClock

from common.adapters.memory_journal import MemoryJournal
from common.adapters.memory_shard_bus import MemoryShardBus
from common.bus import Offer, Outgoing
from common.commands import Command, Say, Wait
from common.envelopes import CommandOffered, Released, ShowAsked, ToShard
from common.events import Said
from common.grid import ChunkId, Slot, Tick, slot_of
from common.journal import Snapshot, Taken
from common.limits import (
    HANDOVER_SECONDS,
    LOOK_SECONDS,
    NEWCOMER_SECONDS,
    POSTGRES_SECONDS_MAX,
    SURPLUS_SECONDS,
    TICK_SECONDS,
)
from common.topology import Topologies, Topology
from tests.shard.town import GATEWAY, Town

STAYING = ChunkId("0:0")  # In slot 0 of 1, 2 and 4.
SECONDS_MAX = NEWCOMER_SECONDS + 3 * LOOK_SECONDS  # From asking to the new count in force.


def chunk_that_moves(one: int, other: int) -> ChunkId:
    """A chunk that is slot 0's of ``one`` and not of ``other``."""
    ids = (ChunkId(f"{cx}:{cy}") for cx, cy in itertools.product(range(-3, 4), repeat=2))
    return next(c for c in ids if slot_of(c, one) == 0 and slot_of(c, other) != 0)


async def reshard(town: Town, shard_count: int) -> None:
    """Ask for it, and return once it is in force."""
    wanted = town.postgres.ask_reshard(shard_count)
    town.redis.stir()
    with trio.fail_after(SECONDS_MAX + 5):
        while town.postgres.topology != wanted:
            await trio.sleep(0.01)


async def holders(town: Town, count: int) -> dict[Slot, str]:
    """Return who holds the slots, once just ``count`` are held."""
    with trio.fail_after(20):
        while len(held := town.redis.survey().holders) != count:
            await trio.sleep(0.05)
    return dict(held)


async def say(town: Town, agent: str, id: str, command: Command | None = None) -> None:
    chunk = town.postgres.agents[town.sign_up(agent)].chunk
    await town.offer(town.command(agent, id, command or Say(id), chunk))


def clock_at(town: Town, id: str) -> Tick:
    """The tick at which the command was accepted."""
    (ack,) = town.acks(id)
    assert ack.tick is not None
    return ack.tick


async def join_at(town: Town, agent: str, chunk: ChunkId) -> None:
    town.sign_up(agent, chunk)
    await town.join(agent)


async def test_one_process_serves_all_slots_and_what_is_wanted_comes_into_force(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await join_at(town, "ann", STAYING)
    await reshard(town, 4)
    assert await holders(town, 4) == dict.fromkeys(map(Slot, range(4)), "s1")
    await say(town, "ann", "c1")
    await town.wait_for(lambda: town.results("c1"))
    town.assert_answered_once("ann", "c1")


async def test_it_does_not_come_into_force_before_each_slot_is_held(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await holders(town, 1)
    town.redis.leases[Slot(2)] = ("mute/1", float("inf"))
    town.redis.process_beats.clear()
    await reshard(town, 3)
    town.postgres.ask_reshard(4)
    await trio.sleep(0.9 * LOOK_SECONDS)
    assert town.postgres.topology.shard_count == 3, "nobody has taken slot 3 yet"
    await holders(town, 4)


async def test_a_chunk_that_moves_is_handed_over_and_one_that_stays_is_not_touched(
    autojump_clock: MockClock, town: Town
) -> None:
    moving = chunk_that_moves(1, 2)
    town.start("s1")
    town.start("s2")
    await join_at(town, "ann", STAYING)
    await join_at(town, "bob", moving)
    await say(town, "ann", "a1", Wait(50))
    await say(town, "bob", "b1", Wait(50))
    await town.wait_for(lambda: town.acks("a1") and town.acks("b1"))
    epochs = {chunk: town.postgres.chunks[chunk].epoch for chunk in (STAYING, moving)}
    await reshard(town, 2)
    await town.wait_for(lambda: town.results("a1") and town.results("b1"), 20)
    assert town.postgres.chunks[STAYING].epoch == epochs[STAYING]
    assert town.postgres.chunks[moving].epoch > epochs[moving]
    processes = {town.postgres.chunks[chunk].holder.split("/")[0] for chunk in (STAYING, moving)}
    assert processes == {"s1", "s2"}  # Which of them came first does not matter.
    for agent in ("ann", "bob"):
        town.assert_answered_once(agent, f"{agent[0]}1")
    town.assert_streams_are_unbroken()


async def test_a_chunk_that_moves_stands_still_for_less_than_two_ticks(
    autojump_clock: MockClock, town: Town
) -> None:
    moving = chunk_that_moves(1, 2)
    town.start("s1")
    town.start("s2")
    await join_at(town, "bob", moving)
    await say(town, "bob", "b1", Wait(50))
    await town.wait_for(lambda: town.acks("b1"))
    await reshard(town, 2)
    await town.wait_for(lambda: town.results("b1"))
    await trio.sleep(1.1)
    pauses = town.redis.slot_beats[Slot(1)][1].moved
    assert pauses is not None
    assert (pauses.epoch, pauses.chunks) == (2, 1)
    assert TICK_SECONDS * 1000 - 1 <= pauses.max_ms < 2 * TICK_SECONDS * 1000
    assert trio.current_time() > 50 * TICK_SECONDS, "its clock went on where it was"


async def test_what_comes_while_a_chunk_moves_is_done_once_and_in_order(
    autojump_clock: MockClock, town: Town
) -> None:
    moving = chunk_that_moves(1, 2)
    town.start("s1")
    town.start("s2")
    await join_at(town, "bob", moving)
    counts = itertools.cycle([2, 4, 3, 8, 1])
    for number in range(120):
        await say(town, "bob", f"b{number}")
        if number % 20 == 10:
            town.postgres.ask_reshard(next(counts))
            town.redis.stir()
        await trio.sleep(0.1)
    await town.wait_for(lambda: town.results("b119"))
    town.assert_answered_once("bob", *(f"b{number}" for number in range(120)))
    said = [e.text for d in town.deltas[moving] for e in d.events if isinstance(e, Said)]
    assert said == [f"b{number}" for number in range(120)]
    town.assert_streams_are_unbroken()


class Deaf(MemoryShardBus):
    """Loses all releases."""

    async def publish(
        self, slot: Slot, holder: str, outgoing: Outgoing
    ) -> frozenset[ChunkId] | None:
        forwards = [one for one in outgoing.forwards if not isinstance(one.message, Released)]
        return await super().publish(slot, holder, attrs.evolve(outgoing, forwards=forwards))


async def test_a_release_that_is_lost_costs_some_patience_and_no_more(
    autojump_clock: MockClock, town: Town
) -> None:
    moving = chunk_that_moves(1, 2)
    town.start("s1", attrs.evolve(town.outside(), bus=Deaf(town.redis)))
    await holders(town, 1)
    town.start("s2")
    await join_at(town, "bob", moving)
    await say(town, "bob", "b1", Wait(20))
    await town.wait_for(lambda: town.acks("b1"))
    await reshard(town, 2)
    began = trio.current_time()
    await say(town, "bob", "b2")
    await town.wait_for(lambda: town.results("b2") and town.results("b1"))
    assert trio.current_time() - began >= HANDOVER_SECONDS
    assert trio.current_time() - began < HANDOVER_SECONDS + 20 * TICK_SECONDS + 1
    town.assert_answered_once("bob", "b1", "b2")
    town.assert_streams_are_unbroken()


class Watched(MemoryJournal):
    """Notes who takes what, and when."""

    def __init__(self, town: Town) -> None:
        super().__init__(town.postgres)
        self.takes: list[tuple[float, ChunkId]] = []

    async def take(
        self, chunks: Sequence[ChunkId], holder: str, topology: int | None = None
    ) -> Sequence[Taken]:
        self.takes += [(trio.current_time(), chunk) for chunk in chunks]
        return await super().take(chunks, holder, topology)


async def test_a_chunk_is_not_taken_before_it_is_released_though_a_command_waits_for_it(
    autojump_clock: MockClock, town: Town
) -> None:
    class Slow(MemoryJournal):
        async def save(
            self, snapshots: Sequence[Snapshot], empty: frozenset[ChunkId]
        ) -> frozenset[ChunkId]:
            await trio.sleep(0.6)
            saved.append(trio.current_time())
            return await super().save(snapshots, empty)

    saved: list[float] = []
    moving, journal = chunk_that_moves(1, 2), Watched(town)
    town.start("s1", attrs.evolve(town.outside(), journal=Slow(town.postgres)))
    await join_at(town, "bob", moving)
    town.start("s2", attrs.evolve(town.outside(), journal=journal))
    await reshard(town, 2)
    await say(town, "bob", "b1")
    await town.wait_for(lambda: town.results("b1"))
    assert [chunk for _, chunk in journal.takes] == [moving]
    assert journal.takes[0][0] >= saved[-1]
    town.assert_answered_once("bob", "b1")


async def test_who_does_not_know_the_new_topology_takes_no_chunk_back(
    autojump_clock: MockClock, town: Town
) -> None:
    class Blind(MemoryJournal):
        is_blind = False

        async def topologies(self) -> Topologies:
            while self.is_blind:
                await trio.sleep(0.1)
            return await super().topologies()

    moving, blind = chunk_that_moves(1, 2), Blind(town.postgres)
    town.start("s1", attrs.evolve(town.outside(), journal=blind))
    await join_at(town, "bob", moving)
    await say(town, "bob", "b1", Wait(40))
    await town.wait_for(lambda: town.acks("b1"))
    blind.is_blind = True
    town.start("s2")
    await reshard(town, 2)
    await trio.sleep(HANDOVER_SECONDS + 0.5)
    epoch = town.postgres.chunks[moving].epoch
    assert town.postgres.chunks[moving].holder.startswith("s2/")
    # What a late gateway sends there shows it that the chunk is another's.
    late = town.command("bob", "b2", Say("late"), moving)
    await town.gateway.offer([Offer(slot=Slot(0), message=late)])
    await trio.sleep(2)
    assert town.postgres.chunks[moving].epoch == epoch
    blind.is_blind = False
    await town.wait_for(lambda: town.results("b1") and town.results("b2"))
    town.assert_answered_once("bob", "b1", "b2")
    town.assert_streams_are_unbroken()


async def test_a_slot_that_is_no_more_is_drained_and_given_back(
    autojump_clock: MockClock, town: Town
) -> None:
    town.postgres.topology = Topology(1, 4)
    town.start("s1")
    await holders(town, 4)
    await reshard(town, 1)
    await town.gateway.offer([Offer(slot=Slot(3), message=ShowAsked(STAYING, GATEWAY))])
    await town.wait_for(lambda: any(m.type == "shown" for m in town.heard))
    assert set(await holders(town, 1)) == {0}
    assert not town.redis.stream(Slot(3)).entries


async def test_what_comes_to_a_stream_that_nobody_holds_is_passed_on(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await join_at(town, "ann", STAYING)
    late = town.command("ann", "c1", Say("late"), STAYING)
    await town.gateway.offer([Offer(slot=Slot(5), message=late)])
    await town.wait_for(lambda: town.results("c1"), 2)
    town.assert_answered_once("ann", "c1")
    with trio.fail_after(SURPLUS_SECONDS + 2):
        await holders(town, 1)


async def test_when_the_owner_of_before_is_dead_its_chunks_are_taken_all_the_same(
    autojump_clock: MockClock, town: Town
) -> None:
    moving = chunk_that_moves(1, 2)
    town.start("s1")
    await join_at(town, "bob", moving)
    await say(town, "bob", "b1", Wait(50))
    await town.wait_for(lambda: town.acks("b1"))
    town.start("s2")
    await trio.sleep(0.1)
    wanted = town.postgres.ask_reshard(2)
    town.redis.stir()
    while town.postgres.topology != wanted:
        await trio.lowlevel.checkpoint()
    await town.kill("s1")
    await town.wait_for(lambda: town.results("b1"), 20)
    assert town.postgres.chunks[moving].holder.startswith("s2/")
    town.assert_answered_once("bob", "b1")
    town.assert_streams_are_unbroken()


async def test_topologies_that_follow_each_other_at_once_lose_nothing(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    town.start("s2")
    chunks = [ChunkId(f"{cx}:{cy}") for cx in range(-1, 2) for cy in range(-1, 2)]
    for number, chunk in enumerate(chunks):
        await join_at(town, f"agent{number}", chunk)
        await say(town, f"agent{number}", f"w{number}", Wait(50))
    await town.wait_for(lambda: all(town.acks(f"w{number}") for number in range(9)))
    for count in (2, 4, 2, 3, 8, 3, 1, 4):
        wanted = town.postgres.ask_reshard(count)
        town.redis.stir()
        for _ in range(700):
            if town.postgres.topology == wanted:
                break
            await trio.sleep(0.01)
        await trio.sleep(0.03)
    assert town.postgres.topology.shard_count == 4
    await town.wait_for(lambda: all(town.results(f"w{number}") for number in range(9)))
    for number in range(9):
        town.assert_answered_once(f"agent{number}", f"w{number}")
    assert {len(chunks) for chunks in town.population().values()} == {1}
    town.assert_streams_are_unbroken()


async def test_two_who_disagree_do_not_pass_a_message_to_and_fro(
    autojump_clock: MockClock, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Blind(MemoryJournal):
        """From the moment when its process has slot 1."""

        async def topologies(self) -> Topologies:
            if town.redis.survey().holders.get(Slot(1)) == "s2":
                await trio.sleep(POSTGRES_SECONDS_MAX + 1)
            return await super().topologies()

    moving, blind = chunk_that_moves(1, 2), Blind(town.postgres)
    town.start("s1")
    await join_at(town, "bob", moving)
    town.start("s2", attrs.evolve(town.outside(), journal=blind))
    wanted = town.postgres.ask_reshard(2)
    town.redis.stir()
    with trio.fail_after(10):
        while town.postgres.topology != wanted:
            await trio.sleep(0.001)
    passed = 0
    append = town.redis.append

    def count(slot: Slot, message: ToShard | None) -> None:
        nonlocal passed
        passed += isinstance(message, CommandOffered)
        assert passed < 100, "else it would go on without an end"
        append(slot, message)

    monkeypatch.setattr(town.redis, "append", count)
    await say(town, "bob", "b1")
    await trio.sleep(2)
    assert town.redis.slot_beats[Slot(1)][1].epoch == 1, "it does not know yet"
    assert passed <= 2


async def test_the_clock_of_a_chunk_that_rests_goes_on_where_it_comes_to(
    autojump_clock: MockClock, town: Town
) -> None:
    resting = chunk_that_moves(1, 2)
    town.start("s1")
    town.start("s2")
    await join_at(town, "bob", resting)
    await say(town, "bob", "b1")
    await town.wait_for(lambda: town.acks("b1"))
    began, at = clock_at(town, "b1"), trio.current_time()
    await trio.sleep(60)
    await reshard(town, 2)
    await trio.sleep(1)
    await say(town, "bob", "b2")
    await town.wait_for(lambda: town.acks("b2"))
    passed = (trio.current_time() - at) / TICK_SECONDS
    assert passed - 3 < clock_at(town, "b2") - began <= passed + 1
