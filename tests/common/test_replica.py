from __future__ import annotations

import pytest

from common.events import Entered, Event, Failed, Left, Moved, Said
from common.frames import ChunkDelta, ChunkStatic, Entity
from common.grid import AgentId, ChunkId, Tick
from common.replica import as_static, fold, is_next, replica_of

ADA, BOB = AgentId("ada"), AgentId("bob")


def a_static(tick: int = 10, *entities: Entity) -> ChunkStatic:
    return ChunkStatic(ChunkId("0:0"), 1, Tick(tick), 50, ["." * 50] * 50, list(entities))


def a_delta(prev_tick: int, tick: int, *events: Event) -> ChunkDelta:
    return ChunkDelta(ChunkId("0:0"), Tick(tick), Tick(prev_tick), list(events))


def test_static_and_deltas_give_the_next_static() -> None:
    replica = replica_of(a_static(10, Entity(BOB, "agent", 1, 1)))
    replica = fold(replica, a_delta(10, 11, Entered(ADA, "agent", 5, 5, "Ada")))
    replica = fold(replica, a_delta(11, 15, Moved(ADA, 6, 5), Said(BOB, "hi")))
    assert as_static(replica) == a_static(
        15, Entity(ADA, "agent", 6, 5, "Ada"), Entity(BOB, "agent", 1, 1)
    )
    replica = fold(replica, a_delta(15, 16, Left(BOB, "session_ended"), Failed(ADA, "blocked")))
    assert list(replica.entities) == [ADA]


@pytest.mark.parametrize(
    ("prev_tick", "tick", "follows"),
    [(10, 11, True), (8, 11, True), (11, 12, False), (8, 10, False), (8, 9, False)],
)
def test_a_delta_follows_only_without_a_gap(prev_tick: int, tick: int, follows: bool) -> None:
    assert is_next(replica_of(a_static(10)), a_delta(prev_tick, tick)) is follows


def test_folding_over_a_gap_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        fold(replica_of(a_static(10)), a_delta(11, 12))
