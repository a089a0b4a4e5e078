from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.bus import Delta, without_gap
from common.grid import ChunkId, Tick

TICKS = st.sets(st.integers(1, 30), min_size=1).map(sorted)


def published(ticks: list[int]) -> list[Delta]:
    """A chunk's deltas: each names the one before."""
    before = [0, *ticks]
    return [
        Delta(ChunkId("0:0"), Tick(tick), Tick(prev_tick), b"")
        for prev_tick, tick in zip(before, ticks, strict=False)
    ]


@given(TICKS, st.data())
def test_all_that_a_replica_lacks_is_returned(ticks: list[int], data: st.DataObject) -> None:
    seen = Tick(data.draw(st.sampled_from([0, *ticks])))
    lacking = [delta for delta in published(ticks) if delta.tick > seen]

    assert without_gap(lacking, seen, Tick(ticks[-1])) == lacking


@given(TICKS, st.data())
def test_one_that_was_lost_is_noticed(ticks: list[int], data: st.DataObject) -> None:
    seen = Tick(data.draw(st.sampled_from([0, *ticks[:-1]])))
    lacking = [delta for delta in published(ticks) if delta.tick > seen]
    lost = data.draw(st.sampled_from(lacking))
    kept = [delta for delta in lacking if delta != lost]

    assert without_gap(kept, seen, Tick(ticks[-1])) is None


@given(TICKS, st.integers(1, 5))
def test_a_replica_that_is_ahead_is_told_of_a_loss(ticks: list[int], ahead: int) -> None:
    assert without_gap([], Tick(ticks[-1] + ahead), Tick(ticks[-1])) is None


def test_nothing_known_is_not_nothing_missed() -> None:
    assert without_gap([], Tick(5), Tick(0)) is None
