"""Connections cut by force: nothing is left out in silence, and nothing comes twice."""

from __future__ import annotations

import pytest

from gateway.agent import admission
from gateway.stream import fanout, replay, view
from ops.simulate.plan import Plan
from ops.simulate.simulation import Outcome, simulate
from tests.ops.simulate.saboteurs import (
    join_whoever_comes,
    lines_from_before,
    missed_but_the_last,
    ticks_off,
)

SEEDS_MAX = 40
PLAN = Plan(0, agents=4, spectators=12, reconnects=200)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_no_forced_reconnect_loses_or_doubles_anything(seed: int) -> None:
    outcome = simulate(Plan(seed, agents=6, spectators=60, reconnects=1_000))
    assert outcome.violation is None
    counts = outcome.counts
    assert counts["reconnects spectator"] + counts["reconnects agent"] >= 1_000
    assert counts["reconnects agent"] > 20
    assert counts["plain streams"] > 300
    assert counts["rerun"] > 0
    assert counts["watched"] > 5 * counts["resyncs"], "most that is told is no resync"


def test_the_cuts_are_where_they_hurt() -> None:
    """Else the test above would prove nothing."""
    outcome = simulate(PLAN)
    assert outcome.violation is None
    assert outcome.counts["reconnects spectator"] > 100


def first_failure(likely: int) -> Outcome:
    """``likely`` is tried first: of those that found it when all were tried, the soonest to end."""
    for seed in (likely, *range(SEEDS_MAX)):
        outcome = simulate(PLAN.with_seed(seed))
        if outcome.violation is not None:
            return outcome
    raise AssertionError("nothing was noticed")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "name", "sabotage", "words", "likely"),
    [
        (view, "decode", ticks_off(1), "was left out", 1),
        (view, "decode", ticks_off(-1), "twice, or too late", 0),
        (replay, "missed", missed_but_the_last, "was left out", 1),
        (fanout.FanOut, "join", join_whoever_comes, "", 7),
        (admission, "_read_lines", lines_from_before, "once more, and nobody asked", 1),
    ],
    ids=["too far", "too short", "the last delta", "audiences", "last_seq"],
)
def test_a_resume_that_is_off_by_one_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
    where: object,
    name: str,
    sabotage: object,
    words: str,
    likely: int,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(where, name, sabotage)
        outcome = first_failure(likely)
    assert words in str(outcome.violation)
    assert simulate(outcome.plan).violation is None, "it is not the sabotage that was found"
