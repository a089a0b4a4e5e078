from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.limits import RESTART_SECONDS_MAX, RESTART_SECONDS_MIN, STEADY_SECONDS
from ops.up.backoff import Backoff


def test_the_first_restart_is_almost_at_once() -> None:
    assert Backoff().died(lived_seconds=0.1).delay_seconds == RESTART_SECONDS_MIN


def test_each_early_death_doubles_the_wait() -> None:
    second = Backoff().died(0.1).died(0.1)

    assert second.delay_seconds == 2 * RESTART_SECONDS_MIN
    assert second.died(0.1).delay_seconds == 4 * RESTART_SECONDS_MIN


def test_a_child_that_lived_a_while_begins_anew() -> None:
    often = Backoff().died(0.1).died(0.1).died(0.1)

    assert often.died(STEADY_SECONDS).delay_seconds == RESTART_SECONDS_MIN


@given(st.lists(st.floats(0, 2 * STEADY_SECONDS), min_size=1, max_size=200))
def test_the_wait_stays_within_its_bounds(lives: list[float]) -> None:
    backoff = Backoff()
    for lived in lives:
        backoff = backoff.died(lived)

    assert RESTART_SECONDS_MIN <= backoff.delay_seconds <= RESTART_SECONDS_MAX
