from __future__ import annotations

import pytest

from common.events import Entered, Event, Left, Moved, Said
from common.frames import ChunkDelta, ChunkStatic, Entity
from common.grid import AgentId, ChunkId, Tick
from ops.chaos.chronicle import EFFECTS, TICKS, Chronicle
from ops.chaos.findings import Findings

HOME, EAST = ChunkId("0:0"), ChunkId("1:0")
ADA, BOB = AgentId("agt_1"), AgentId("agt_2")


def a_chronicle(*deltas: ChunkDelta) -> Chronicle:
    chronicle = Chronicle(Findings(), now=lambda: 1.0)
    for delta in deltas:
        chronicle.note(delta)
    return chronicle


def a_delta(tick: int, prev: int, *events: Event, chunk: ChunkId = HOME) -> ChunkDelta:
    return ChunkDelta(chunk, Tick(tick), Tick(prev), list(events))


def found(chronicle: Chronicle) -> list[str]:
    return [violation.promise for violation in chronicle.findings.violations]


def test_what_two_witnesses_saw_alike_happened_once() -> None:
    chronicle = a_chronicle(a_delta(5, 3, Said(ADA, "hello")), a_delta(5, 3, Said(ADA, "hello")))

    assert found(chronicle) == []
    assert chronicle.said == {"hello": (ADA, HOME, 5)}
    assert chronicle.deltas == 1


@pytest.mark.parametrize("other", [a_delta(5, 4, Said(ADA, "hello")), a_delta(5, 3)])
def test_one_tick_with_two_deltas_is_found(other: ChunkDelta) -> None:
    assert TICKS in found(a_chronicle(a_delta(5, 3, Said(ADA, "hello")), other))


@pytest.mark.parametrize("chunk", [HOME, EAST])
def test_what_is_said_twice_is_found(chunk: ChunkId) -> None:
    again = a_delta(6, 5, Said(ADA, "hello"), chunk=chunk)

    assert found(a_chronicle(a_delta(5, 3, Said(ADA, "hello")), again)) == [EFFECTS]


def test_a_step_taken_twice_is_found() -> None:
    entered = a_delta(1, 0, Entered(ADA, "agent", 3, 3))

    assert found(a_chronicle(entered, a_delta(2, 1, Moved(ADA, 4, 3)))) == []
    assert found(a_chronicle(entered, a_delta(2, 1, Moved(ADA, 5, 3)))) == [EFFECTS]


def test_a_step_that_another_witness_was_shown_before_is_one_step() -> None:
    chronicle = a_chronicle(a_delta(1, 0, Entered(ADA, "agent", 3, 3)))
    chronicle.show(ChunkStatic(HOME, 1, Tick(2), 50, [], [Entity(ADA, "agent", 4, 3)]))

    chronicle.note(a_delta(2, 1, Moved(ADA, 4, 3)))

    assert found(chronicle) == []


def test_two_on_one_cell_are_found() -> None:
    chronicle = a_chronicle()
    entities = [Entity(ADA, "agent", 3, 3), Entity(BOB, "agent", 3, 3)]

    chronicle.show(ChunkStatic(HOME, 1, Tick(1), 50, [], entities))

    assert found(chronicle) == [EFFECTS]


def test_it_knows_where_somebody_stood_at_each_tick() -> None:
    chronicle = a_chronicle(
        a_delta(2, 0, Entered(ADA, "agent", 3, 3)),
        a_delta(4, 2, Moved(ADA, 4, 3)),
        a_delta(6, 4, Left(ADA, "moved", EAST)),
    )

    places = [chronicle.place(HOME, ADA, Tick(tick)) for tick in range(1, 7)]
    assert places == [None, (3, 3), (3, 3), (4, 3), (4, 3), None]
    assert chronicle.place(EAST, ADA, Tick(6)) is None


def a_static(tick: int, *entities: Entity) -> ChunkStatic:
    return ChunkStatic(HOME, 1, Tick(tick), 50, [], list(entities))


def whole(chronicle: Chronicle) -> set[int]:
    return {tick for tick in range(1, 14) if chronicle.is_whole(HOME, Tick(tick))}


def test_who_was_gone_when_the_chunk_was_shown_again_stands_there_no_more() -> None:
    chronicle = a_chronicle(a_delta(2, 0, Entered(ADA, "agent", 3, 3)))
    chronicle.show(a_static(6))

    assert [chronicle.place(HOME, ADA, Tick(tick)) for tick in (5, 6, 7)] == [(3, 3), None, None]


def test_it_knows_where_it_saw_everything() -> None:
    chronicle = a_chronicle()
    chronicle.show(a_static(1))
    for delta in (a_delta(2, 0), a_delta(4, 2), a_delta(8, 6)):
        chronicle.note(delta)

    assert whole(chronicle) == {2, 3}, "what comes after 4 is not the next: it may not be the end"


def test_after_a_gap_it_has_seen_everything_since_the_chunk_was_shown_again() -> None:
    chronicle = a_chronicle(a_delta(2, 0))
    chronicle.show(a_static(1))
    chronicle.show(a_static(7))  # At rest since 6.
    for delta in (a_delta(8, 6), a_delta(10, 8), a_delta(12, 11)):
        chronicle.note(delta)

    assert whole(chronicle) == {8, 9}


def test_what_follows_later_than_the_chunk_was_shown_does_not_begin_there() -> None:
    chronicle = a_chronicle(a_delta(8, 6))
    chronicle.show(a_static(5))
    assert whole(chronicle) == set()


def test_nothing_is_known_of_what_came_before_a_chunk_was_shown_again_but_what_was_seen() -> None:
    chronicle = a_chronicle(a_delta(2, 0))
    chronicle.show(a_static(1))
    chronicle.show(a_static(5))

    assert whole(chronicle) == {2, *range(6, 14)}
