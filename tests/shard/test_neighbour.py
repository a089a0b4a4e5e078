"""A border whose other side is being created, collected, handed over, crowded or dead just then."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import attrs
import pytest
import trio
from trio.testing import MockClock

from common.adapters.memory_journal import MemoryJournal
from common.adapters.memory_leases import MemoryLeases
from common.commands import MoveTo
from common.envelopes import Detach
from common.events import Left
from common.frames import Position
from common.grid import CHUNK_SIZE, AgentId, ChunkId, SessionId
from common.journal import Committed, Conflict, Retired, Row, Taken
from common.limits import (
    COLLECT_SECONDS,
    CREATION_MS,
    CROSSING_SECONDS,
    POSTGRES_SECONDS_MAX,
    REFUSALS_MAX,
    REFUSED_TICKS,
    TICK_SECONDS,
)
from shard.world.codec import decode_input
from shard.world.inputs import Arrive, Settle
from shard.world.terrain import terrain_of
from tests.shard.town import Town

SPARE = "spare/1"  # The holder: a process, and its how many-th tenure.
NEXT = ChunkId("1:0")
BETWEEN_TWO = pytest.mark.parametrize("shard_count", [2], ids=["between two shards"])
"""Within a shard both chunks go the same way: ``test_crossing`` and ``test_stress``."""


@pytest.fixture(params=[2, 1], ids=["between two shards", "within a shard"])
def shard_count(request: pytest.FixtureRequest) -> int:
    count: int = request.param
    return count


async def _start(town: Town, journal: MemoryJournal) -> None:
    """0:0 is "source"'s, and 1:0 is "target"'s, which keeps ``journal``; or both are target's."""
    if town.postgres.topology.shard_count == 2:
        assert (town.slot("0:0"), town.slot(NEXT)) == (0, 1)
        town.start("source")
        await trio.sleep(0.1)
    town.start("target", attrs.evolve(town.outside(), journal=journal))
    await trio.sleep(0.1)


async def _set_out(town: Town) -> Position:
    """Ann comes to stand in 0:0 beside the border and sets out for a cell close behind it."""
    here = terrain_of(town.postgres.world.seed, ChunkId("0:0"), 1)
    there = terrain_of(town.postgres.world.seed, NEXT, 1)
    edge = CHUNK_SIZE - 1
    y = next(y for y in range(50) if here.is_floor(edge, y) and there.is_floor(CHUNK_SIZE, y))
    await town.join("ann", at=Position(edge, y))
    await town.offer(town.command("ann", "c1", MoveTo(CHUNK_SIZE, y)))
    await town.wait_for(lambda: town.acks("c1"))
    return Position(CHUNK_SIZE, y)


async def _assert_she_arrives(town: Town, seconds: float = 60) -> None:
    await town.wait_for(lambda: town.results("c1"), seconds)
    await trio.sleep(5)
    (result,) = set(town.results("c1"))
    assert (result.chunk, result.reason) == (NEXT, None)
    assert town.population() == {"ann": [NEXT]}
    town.assert_answered_once("ann", "c1")


class Gated(MemoryJournal):
    """Takes and collects NEXT only while its gate is open."""

    def __init__(self, town: Town) -> None:
        super().__init__(town.postgres)
        self.gate = trio.Event()
        self.gate.set()
        self.reached = trio.Event()

    async def _pass(self, chunks: Sequence[ChunkId]) -> None:
        if NEXT in chunks:
            self.reached.set()
            await self.gate.wait()

    async def take(
        self, chunks: Sequence[ChunkId], holder: str, topology: int | None = None
    ) -> Sequence[Taken]:
        await self._pass(chunks)
        return await super().take(chunks, holder, topology)

    async def collect(self, retired: Sequence[Retired]) -> frozenset[ChunkId]:
        await self._pass([one.chunk for one in retired])
        return await super().collect(retired)


@pytest.mark.parametrize("seconds", [0.5, CROSSING_SECONDS + 0.5])
async def test_a_neighbour_that_is_just_being_created_is_entered_once_it_is(
    autojump_clock: MockClock, town: Town, seconds: float
) -> None:
    journal = Gated(town)
    await _start(town, journal)
    journal.gate = trio.Event()
    await _set_out(town)
    await trio.sleep(seconds)
    assert NEXT not in town.postgres.chunks
    assert town.population() == {"ann": ["0:0"]}
    journal.gate.set()
    await _assert_she_arrives(town)
    town.assert_streams_are_unbroken()


async def test_a_neighbour_that_another_was_about_to_create_is_waited_for_and_no_longer(
    autojump_clock: MockClock, town: Town
) -> None:
    await _start(town, MemoryJournal(town.postgres))
    assert await MemoryLeases(town.redis).claim([NEXT], "somebody who died")
    began = trio.current_time()
    await _set_out(town)
    await trio.sleep(CREATION_MS / 1000 - (trio.current_time() - began) - 0.1)
    assert NEXT not in town.postgres.chunks
    await _assert_she_arrives(town)


async def test_a_neighbour_that_another_claims_again_and_again_is_created_all_the_same(
    autojump_clock: MockClock, town: Town, nursery: trio.Nursery
) -> None:
    async def claim() -> None:
        while True:
            await MemoryLeases(town.redis).claim([NEXT], "rival")
            await trio.sleep(CREATION_MS / 4_000)

    nursery.start_soon(claim)
    await _start(town, MemoryJournal(town.postgres))
    await _set_out(town)
    await _assert_she_arrives(town)


async def test_a_neighbour_that_is_just_being_collected_is_entered_anew(
    autojump_clock: MockClock, town: Town
) -> None:
    journal = Gated(town)
    await _start(town, journal)
    town.sign_up("bob", NEXT)
    await town.join("bob")
    await town.offer(Detach(SessionId("ses_bob"), AgentId("bob"), NEXT))
    await trio.sleep(1)
    journal.gate, journal.reached = trio.Event(), trio.Event()
    with trio.fail_after(1.1 * COLLECT_SECONDS):
        await journal.reached.wait()
    await _set_out(town)
    await trio.sleep(1)
    assert town.population() == {"ann": ["0:0"]}
    journal.gate.set()
    await _assert_she_arrives(town)
    assert (await town.show(NEXT)).generation == 2
    came, went, arrived, *_ = town.deltas[NEXT]
    assert came.tick == went.prev_tick
    assert went.tick + COLLECT_SECONDS / TICK_SECONDS <= arrived.prev_tick < arrived.tick


@BETWEEN_TWO
@pytest.mark.parametrize("moment", ["before it is asked", "after it was journaled"])
async def test_a_neighbour_that_is_just_handed_to_another_shard_is_entered_there(
    autojump_clock: MockClock, town: Town, moment: str
) -> None:
    class Watched(MemoryJournal):
        async def commit(self, rows: Sequence[Row]) -> Committed | Conflict:
            outcome = await super().commit(rows)
            if any(row.transfer for row in rows) and moment == "after it was journaled":
                _hand_over()
            return outcome

    def _hand_over() -> None:
        town.redis.leases[town.slot(NEXT)] = (SPARE, town.redis.now_ms() + 3_000)

    await _start(town, Watched(town.postgres))
    town.start("spare")
    await trio.sleep(1)
    if moment == "before it is asked":
        _hand_over()
    await _set_out(town)
    await _assert_she_arrives(town)
    town.assert_streams_are_unbroken()
    assert town.postgres.chunks[NEXT].holder == SPARE


async def _reshard(town: Town, count: int) -> None:
    wanted = town.postgres.ask_reshard(count)
    town.redis.stir()
    while town.postgres.topology != wanted:
        await trio.sleep(0.01)


async def _drain(town: Town, name: str) -> None:
    town.processes[name].drain.set()
    await trio.sleep(0.1)


CHANGES = {
    "2 to 3 shards": lambda town: _reshard(town, 3),
    "2 to 1 shards": lambda town: _reshard(town, 1),
    "the target drains": lambda town: _drain(town, "target"),
    "the source drains": lambda town: _drain(town, "source"),
}


@BETWEEN_TWO
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", [Arrive, Settle])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_chunks_that_change_hands_in_the_middle_of_a_crossing_lose_and_double_nobody(
    autojump_clock: MockClock, town: Town, kind: type, after: bool, change: str
) -> None:
    """Before or after the row is journaled that lets her in, or that lets her go."""
    changed: list[bool] = []

    class Watched(MemoryJournal):
        async def commit(self, rows: Sequence[Row]) -> Committed | Conflict:
            is_it = any(row.body and isinstance(decode_input(row.body), kind) for row in rows)
            outcome = await super().commit(rows) if after or not is_it else None
            if is_it and not changed:
                changed.append(True)
                with trio.fail_after(POSTGRES_SECONDS_MAX):
                    await CHANGES[change](town)
            return outcome or await super().commit(rows)

    for name in ("source", "target", "spare"):
        town.start(name, attrs.evolve(town.outside(), journal=Watched(town.postgres)))
        await trio.sleep(0.1)
    await _set_out(town)
    await _assert_she_arrives(town)
    assert changed
    town.assert_streams_are_unbroken()


class Counting(MemoryJournal):
    """Notes when a traveller asked to be let in."""

    def __init__(self, town: Town) -> None:
        super().__init__(town.postgres)
        self.asked: list[float] = []

    async def commit(self, rows: Sequence[Row]) -> Committed | Conflict:
        if any(row.body and isinstance(decode_input(row.body), Arrive) for row in rows):
            self.asked.append(trio.current_time())
        return await super().commit(rows)


async def test_who_is_refused_at_a_border_waits_before_it_asks_again_and_stands_where_it_stood(
    autojump_clock: MockClock, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Counting(town)
    await _start(town, journal)
    town.sign_up("bob", NEXT)
    await town.join("bob")
    monkeypatch.setattr("shard.world.turn.CHUNK_AGENTS_MAX", 1)
    await _set_out(town)
    await town.wait_for(lambda: town.results("c1"), 60)
    (result,) = town.results("c1")
    assert (result.chunk, result.reason) == ("0:0", "boundary_refused")
    assert result.position.x == CHUNK_SIZE - 1
    assert town.population() == {"ann": ["0:0"], "bob": [NEXT]}
    assert len(journal.asked) == REFUSALS_MAX
    moves = [event for delta in town.deltas[ChunkId("0:0")] for event in delta.events]
    assert not any(isinstance(event, Left) for event in moves), "she has never left"
    for one, other in itertools.pairwise(journal.asked):
        assert other - one >= REFUSED_TICKS * TICK_SECONDS
    await trio.sleep(10)
    assert len(journal.asked) == REFUSALS_MAX


async def test_a_neighbour_that_empties_while_somebody_waits_is_entered(
    autojump_clock: MockClock, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Counting(town)
    await _start(town, journal)
    town.sign_up("bob", NEXT)
    await town.join("bob")
    monkeypatch.setattr("shard.world.turn.CHUNK_AGENTS_MAX", 1)
    await _set_out(town)
    with trio.fail_after(30):
        while not journal.asked:
            await trio.sleep(0.05)
    await town.offer(Detach(SessionId("ses_bob"), AgentId("bob"), NEXT))
    await _assert_she_arrives(town)


@BETWEEN_TWO
async def test_a_neighbour_that_dies_just_then_lets_the_agent_stand_where_it_stood(
    autojump_clock: MockClock, town: Town
) -> None:
    await _start(town, MemoryJournal(town.postgres))
    await town.kill("target")
    town.redis.leases[town.slot(NEXT)] = ("mute/1", math.inf)
    await _set_out(town)
    for _ in range(20):
        await trio.sleep(0.5)
        if not town.results("c1"):
            assert town.population() == {"ann": ["0:0"]}
    await town.wait_for(lambda: town.results("c1"), 60)
    assert town.results("c1")[0].reason == "boundary_refused"
    del town.redis.leases[town.slot(NEXT)]
    await trio.sleep(5)
    assert town.population() == {"ann": ["0:0"]}
