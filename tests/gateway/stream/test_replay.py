from __future__ import annotations

import itertools
from collections.abc import Sequence

from common.bus import Delta
from common.grid import Tick
from gateway.stream.follow import Static
from gateway.stream.position import Mark
from gateway.stream.replay import missed, read_from
from tests.gateway.stream.scripted import HERE, a_delta


def shown(tick: int, generation: int = 1) -> Static:
    return Static(HERE, generation, Tick(tick), b"{}")


def deltas(*ticks: int) -> list[Delta]:
    """Each following the one before; the first is only the prev_tick of the second."""
    return [a_delta(t, p).delta for p, t in itertools.pairwise(ticks)]


def ticks(found: Sequence[Delta] | None) -> list[int] | None:
    return None if found is None else [delta.tick for delta in found]


def test_what_was_missed_is_all_that_came_after_the_mark() -> None:
    assert read_from(Mark(1, Tick(5)), shown(9)) == 5
    assert ticks(missed(Mark(1, Tick(5)), shown(9), deltas(5, 7, 9))) == [7, 9]


def test_deltas_newer_than_the_static_are_part_of_it() -> None:
    assert ticks(missed(Mark(1, Tick(5)), shown(7), deltas(5, 7, 9))) == [7, 9]


def test_who_missed_nothing_gets_nothing() -> None:
    assert ticks(missed(Mark(1, Tick(9)), shown(9), [])) == []


def test_a_client_may_be_ahead_of_this_gateway() -> None:
    mark = Mark(1, Tick(9))
    assert read_from(mark, shown(5)) == 5
    assert ticks(missed(mark, shown(5), deltas(5, 7, 9, 12))) == [12]
    assert ticks(missed(mark, shown(5), deltas(5, 7, 9))) == []


def test_a_tick_that_never_was_is_out_of_range() -> None:
    assert missed(Mark(1, Tick(8)), shown(5), deltas(5, 7, 9)) is None
    assert missed(Mark(1, Tick(99)), shown(5), []) is None


def test_what_is_no_longer_kept_is_out_of_range() -> None:
    assert missed(Mark(1, Tick(5)), shown(9), None) is None
    assert missed(Mark(1, Tick(5)), shown(9), deltas(7, 9)) is None
    assert missed(Mark(1, Tick(5)), shown(9), deltas(5, 7)) is None
    assert missed(Mark(1, Tick(5)), shown(9), []) is None
    assert missed(Mark(1, Tick(5)), shown(9), deltas(5, 6) + deltas(7, 9)) is None


def test_another_generation_is_another_chunk() -> None:
    assert read_from(Mark(1, Tick(9)), shown(9, generation=2)) is None
    assert missed(Mark(1, Tick(9)), shown(9, generation=2), []) is None
