"""Chance is a hash: these numbers are in every journal that was ever replayed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shard.world.chance import draw, draw_grid


def test_a_draw_is_the_same_for_ever() -> None:
    assert draw(7, 3, "step", "agt_1") == 1253493929566567752
    assert draw(-1, 0) == 6260304962997750587


def test_another_seed_tick_or_purpose_draws_anew() -> None:
    draws = [draw(7, 3, "a"), draw(8, 3, "a"), draw(7, 4, "a"), draw(7, 3, "b"), draw(7, 3)]
    assert len(set(draws)) == len(draws)


def test_parts_of_a_purpose_do_not_run_together() -> None:
    draws = [draw(7, 3, "a", "b"), draw(7, 3, "ab"), draw(7, 3, "a1:b"), draw(7, 31, "a")]
    draws += [draw(7, 3, 1), draw(7, 3, "1"), draw(7, 3, 1, 1), draw(7, 3, 11)]
    assert len(set(draws)) == len(draws)


def test_draws_are_spread_over_64_bits() -> None:
    draws = [draw(7, tick) for tick in range(1_000)]
    assert min(draws) < 2**56
    assert max(draws) > 2**64 - 2**56


@given(st.integers(-(2**63), 2**63 - 1), st.lists(st.integers()), st.lists(st.integers()))
def test_a_grid_of_draws_is_the_draws_one_by_one(seed: int, xs: list[int], ys: list[int]) -> None:
    rows = draw_grid(seed, 3, ("hill", 13), xs, ys)
    if xs:
        assert rows == [[draw(seed, 3, "hill", 13, x, y) for x in xs] for y in ys]
