"""What is done to all lanes at once is what would be done to each number by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shard.world.lanes import TOP, Factors, at_least, filled, in_all, lanes, low_bytes, numbers

small = st.integers(0, 2**13)
pairs = st.lists(st.tuples(small, small), min_size=1)


@given(st.lists(st.integers(0, TOP - 1), min_size=1))
def test_numbers_come_out_as_they_went_in(some: list[int]) -> None:
    assert numbers(lanes(some), len(some)) == tuple(some)


@given(st.lists(st.integers(0, 255), min_size=1))
def test_small_numbers_are_bytes(some: list[int]) -> None:
    assert low_bytes(lanes(some), len(some)) == bytes(some)


@given(pairs)
def test_lanes_are_compared_one_by_one(some: list[tuple[int, int]]) -> None:
    ones, others = lanes([one for one, _ in some]), lanes([other for _, other in some])
    marks = at_least(ones, others, in_all(TOP, len(some)))
    assert numbers(filled(marks), len(some)) == tuple(
        TOP - 1 if one >= other else 0 for one, other in some
    )


@given(pairs)
def test_each_lane_has_its_own_factor(some: list[tuple[int, int]]) -> None:
    factors = Factors(factor for _, factor in some)
    product = factors.times(lanes([number for number, _ in some]))
    assert numbers(product, len(some)) == tuple(number * factor for number, factor in some)
