"""Crossing a border between two shard processes, either of which may die at any moment."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import attrs
import pytest
import trio
from trio.testing import MockClock

from common.adapters.memory_journal import MemoryJournal
from common.adapters.memory_shard_bus import MemoryShardBus
from common.bus import Outgoing
from common.commands import Say
from common.envelopes import ArrivalAsked, CrossingAnswered, Detach
from common.grid import AgentId, ChunkId, SessionId, Slot
from common.journal import Committed, Conflict, Fact, Row, TransferFact
from shard.world.codec import decode_input
from shard.world.inputs import Arrive, Settle
from tests.shard.town import Town


@pytest.fixture
def shard_count() -> int:
    return 2


async def _set_out(town: Town) -> None:
    """Ann stands in 0:0, of slot 0, and sets out for 1:0, of slot 1."""
    assert (town.slot("0:0"), town.slot("1:0")) == (0, 1)
    await town.join("ann")
    await town.offer(town.command("ann", "c1", town.goal("1:0")))


async def _assert_she_is_there(town: Town) -> None:
    await town.wait_for(lambda: town.results("c1"), 200)
    await trio.sleep(5)
    goal = town.goal("1:0")
    (result,) = set(town.results("c1"))
    assert (result.position.x, result.position.y, result.reason) == (goal.x, goal.y, None)
    assert town.population() == {"ann": ["1:0"]}
    town.assert_streams_are_unbroken()
    town.assert_answered_once("ann", "c1")


async def test_an_agent_walks_from_one_process_to_another(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await trio.sleep(0.1)
    town.start("s2")
    await _set_out(town)
    await _assert_she_is_there(town)


class Fatal(MemoryJournal):
    """Ends its process before or after a commit of which ``is_fatal`` is true; once."""

    def __init__(self, town: Town, name: str, is_fatal: Callable[[Row], bool], after: bool) -> None:
        super().__init__(town.postgres)
        self.town, self.name, self.is_fatal, self.after = town, name, is_fatal, after

    async def commit(self, rows: Sequence[Row]) -> Committed | Conflict:
        if not any(self.is_fatal(row) for row in rows):
            return await super().commit(rows)
        if self.after:
            await super().commit(rows)
        self.town.processes[self.name].scope.cancel()
        await trio.sleep_forever()
        raise AssertionError


def _is_arrive(row: Row) -> bool:
    return bool(row.body) and isinstance(decode_input(row.body), Arrive)


def _is_settle(row: Row) -> bool:
    return bool(row.body) and isinstance(decode_input(row.body), Settle)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("dying", "is_fatal"), [("target", _is_arrive), ("source", _is_settle)])
@pytest.mark.parametrize("pause", [0, 2])
async def test_either_side_may_die_before_or_after_its_commit(
    autojump_clock: MockClock,
    town: Town,
    dying: str,
    is_fatal: Callable[[Row], bool],
    after: bool,
    pause: float,
) -> None:
    for name in ("source", "target"):
        outside = town.outside()
        if name == dying:
            journal = Fatal(town, name, is_fatal, after)
            outside = attrs.evolve(outside, journal=journal)
        town.start(name, outside)
        await trio.sleep(0.1)
    await _set_out(town)
    with trio.fail_after(60):
        await town.processes[dying].ended.wait()
    await trio.sleep(pause)
    town.start("spare")
    await _assert_she_is_there(town)


@pytest.mark.parametrize("shard_count", [1], ids=["within a shard"])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("is_fatal", [_is_arrive, _is_settle])
@pytest.mark.parametrize("pause", [0, 2])
async def test_the_process_of_both_sides_may_die_before_or_after_a_commit(
    autojump_clock: MockClock,
    town: Town,
    is_fatal: Callable[[Row], bool],
    after: bool,
    pause: float,
) -> None:
    journal = Fatal(town, "only", is_fatal, after)
    town.start("only", attrs.evolve(town.outside(), journal=journal))
    await trio.sleep(0.1)
    await town.join("ann")
    await town.offer(town.command("ann", "c1", town.goal("1:0")))
    with trio.fail_after(60):
        await town.processes["only"].ended.wait()
    await trio.sleep(pause)
    town.start("spare")
    await _assert_she_is_there(town)


class Late(MemoryJournal):
    """Commits arrivals when it is told to, also when nobody waits for that any more."""

    def __init__(self, town: Town) -> None:
        super().__init__(town.postgres)
        self.town, self.asked, self.now = town, trio.Event(), trio.Event()

    async def commit(self, rows: Sequence[Row]) -> Committed | Conflict:
        if not any(map(_is_arrive, rows)):
            return await super().commit(rows)
        self.asked.set()
        self.town.nursery.start_soon(self._commit_later, rows)
        await trio.sleep_forever()
        raise AssertionError

    async def _commit_later(self, rows: Sequence[Row]) -> None:
        await self.now.wait()
        await super().commit(rows)


class Listing(MemoryJournal):
    """Calls ``listed`` once the chunks of two slots have been listed."""

    def __init__(self, town: Town, listed: Callable[[], None]) -> None:
        super().__init__(town.postgres)
        self.listed, self.times = listed, 0

    async def leftovers(self) -> Sequence[ChunkId]:
        try:
            return await super().leftovers()
        finally:
            self.times += 1
            if self.times == 2:
                self.listed()


async def test_an_admission_that_is_written_after_all_chunks_were_listed_is_heard_of(
    autojump_clock: MockClock, town: Town
) -> None:
    """Both sides died, and Redis forgot the question: nobody has the target, or a reason to."""
    town.start("source")
    await trio.sleep(0.1)
    late = Late(town)
    town.start("target", attrs.evolve(town.outside(), journal=late))
    await _set_out(town)
    with trio.fail_after(60):
        await late.asked.wait()
    await town.kill("target")
    await trio.sleep(1.2)  # So that the target's slot is taken first.
    await town.kill("source")
    town.redis.slots.clear()
    listing = Listing(town, late.now.set)
    town.start("spare", attrs.evolve(town.outside(), journal=listing))
    await _assert_she_is_there(town)
    states = [kept.state for kept in town.postgres.transfers.values()]
    assert states == ["entered"], "it was written in time to be called off"


class Lossy(MemoryShardBus):
    """Loses the messages of which ``is_lost`` is true."""

    def __init__(self, town: Town, is_lost: Callable[[object], bool]) -> None:
        super().__init__(town.redis)
        self.is_lost = is_lost

    async def publish(
        self, slot: Slot, holder: str, outgoing: Outgoing
    ) -> frozenset[ChunkId] | None:
        forwards = [one for one in outgoing.forwards if not self.is_lost(one.message)]
        return await super().publish(slot, holder, attrs.evolve(outgoing, forwards=forwards))


@pytest.mark.parametrize("kind", [ArrivalAsked, CrossingAnswered])
@pytest.mark.parametrize("losses", [1, 4])
async def test_a_lost_question_or_answer_is_made_good(
    autojump_clock: MockClock, town: Town, kind: type, losses: int
) -> None:
    lost: list[object] = []

    def is_lost(message: object) -> bool:
        if isinstance(message, kind) and len(lost) < losses:
            lost.append(message)
            return True
        return False

    outside = attrs.evolve(town.outside(), bus=Lossy(town, is_lost))
    town.start("s1", outside)
    await trio.sleep(0.1)
    town.start("s2", outside)
    await _set_out(town)
    await _assert_she_is_there(town)
    assert lost


async def test_a_departure_nobody_answers_is_called_off_and_tried_again(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    town.redis.leases[Slot(1)] = ("mute/1", math.inf)
    await _set_out(town)
    await town.wait_for(lambda: town.acks("c1"))
    await trio.sleep(30)
    assert "cancelled" in {kept.state for kept in town.postgres.transfers.values()}
    assert town.population() == {"ann": ["0:0"]}
    del town.redis.leases[Slot(1)]
    await town.wait_for(lambda: town.results("c1"), 120)
    (result,) = town.results("c1")
    assert result.reason in (None, "boundary_refused")
    assert [len(chunks) for chunks in town.population().values()] == [1]


async def test_what_comes_while_an_agent_stands_at_a_border_is_held_and_survives_a_crash(
    autojump_clock: MockClock, town: Town
) -> None:
    class Mute(MemoryJournal):
        """Records no outcome of a crossing, as if it took very long."""

        is_mute = True

        async def record(self, facts: Sequence[Fact]) -> frozenset[ChunkId]:
            while self.is_mute and any(isinstance(fact, TransferFact) for fact in facts):
                await trio.sleep(0.1)
            return await super().record(facts)

    town.start("source")
    await trio.sleep(0.1)
    mute = Mute(town.postgres)
    town.start("target", attrs.evolve(town.outside(), journal=mute))
    await _set_out(town)
    with trio.fail_after(60):
        while not town.postgres.transfers:
            await trio.sleep(0.1)
    await trio.sleep(1)
    offer = town.command("ann", "c2", Say("at the border"), chunk="0:0")
    await town.offer(attrs.evolve(offer, expires_at_ms=offer.expires_at_ms + 60_000))
    await trio.sleep(3)
    assert not town.acks("c2")
    await town.kill("source")
    town.start("source2")
    await trio.sleep(4)
    assert not town.acks("c2")
    mute.is_mute = False
    await town.wait_for(lambda: town.results("c2"), 10)
    assert town.results("c2")[0].chunk == "1:0"
    await _assert_she_is_there(town)


async def test_nobody_is_asked_at_a_border_before_it_is_on_record_where_the_agent_stands(
    autojump_clock: MockClock, town: Town
) -> None:
    class Slow(MemoryJournal):
        gate = trio.Event()

        async def record(self, facts: Sequence[Fact]) -> frozenset[ChunkId]:
            await self.gate.wait()
            return await super().record(facts)

    slow = Slow(town.postgres)
    town.start("source", attrs.evolve(town.outside(), journal=slow))
    await trio.sleep(0.1)
    town.start("target")
    await _set_out(town)
    await trio.sleep(30)
    assert {kept.state for kept in town.postgres.transfers.values()} == {"cancelled"}
    slow.gate.set()
    await town.wait_for(lambda: town.results("c1"), 120)


async def test_who_went_away_and_came_back_is_not_looked_for_where_it_went(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await trio.sleep(0.1)
    town.start("s2")
    await _set_out(town)
    await _assert_she_is_there(town)
    await town.offer(town.command("ann", "c2", town.goal("0:0"), chunk="1:0"))
    await town.wait_for(lambda: town.results("c2"), 200)
    await town.offer(Detach(SessionId("ses_ann"), AgentId("ann"), ChunkId("0:0")))
    await trio.sleep(2)
    assert town.population() == {}
    attached = await town.join("ann", "ses_new")
    assert (attached.chunk, attached.position) == ("0:0", town.results("c2")[0].position)


async def test_who_attaches_during_a_crossing_hears_where_the_agent_ended(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await _set_out(town)
    await trio.sleep(30)
    await town.open_session("ann", "ses_new")
    await town.offer(town.attach("ann", "ses_new"))
    town.start("s2")
    attached = await town.join("ann", "ses_new")
    assert [attached.chunk] == town.population()["ann"]
    lines = town.redis.lines[SessionId("ses_ann")]
    assert [line.id for line in lines if line.type == "result_line"] == ["c1"]
