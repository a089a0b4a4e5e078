"""The harness proves itself: a cluster with one promise switched off is found out."""

from __future__ import annotations

import pytest

from gateway.stream import follow
from ops.simulate.plan import Plan
from ops.simulate.servers import Adapters
from ops.simulate.simulation import Outcome, simulate
from shard.crew import Crew
from shard.inbox import Inbox
from tests.ops.simulate.saboteurs import (
    AGELESS,
    FINAL,
    FORGETFUL,
    INDIFFERENT,
    LEAVING,
    TRUSTING,
    UNFENCED,
    drop_held,
    fold_anything,
    follows_somehow,
    needs_no_orphans,
)

SEEDS_MAX = 200  # The issue's.


def first_failure(adapters: Adapters | None = None, likely: int = 0) -> Outcome:
    """``likely`` is tried first: of those that found it when all were tried, the soonest to end."""
    for seed in (likely, *range(SEEDS_MAX)):
        outcome = simulate(Plan(seed, minutes=0.5, agents=8, spectators=1), adapters)
        if outcome.violation is not None:
            return outcome
    raise AssertionError("nothing was noticed")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("adapters", "likely"),
    [
        (UNFENCED, 17),
        (FORGETFUL, 12),
        (INDIFFERENT, 12),
        (AGELESS, 94),
        (LEAVING, 57),
        (TRUSTING, 95),
        (FINAL, 32),
    ],
    ids=["fence", "dedupe", "transfer table", "generation", "refusals", "drivers", "final"],
)
def test_a_promise_that_is_switched_off_is_missed(adapters: Adapters, likely: int) -> None:
    outcome = first_failure(adapters, likely)
    again = simulate(outcome.plan, adapters)
    assert (again.violation, again.digest) == (outcome.violation, outcome.digest)
    assert simulate(outcome.plan).violation is None, "it is not the sabotage that was found"


@pytest.mark.slow
def test_a_gap_that_nobody_looks_for_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(follow, "is_next", follows_somehow)
        patch.setattr(follow, "fold", fold_anything)
        outcome = first_failure()
    assert simulate(outcome.plan).violation is None, "it is not the sabotage that was found"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "name", "sabotage", "likely"),
    [(Inbox, "release", drop_held, 19), (Crew, "_needed", property(needs_no_orphans), 44)],
    ids=["what is held for a chunk that moves", "streams of slots that are no more"],
)
def test_what_a_reshard_must_not_forget_is_missed(
    monkeypatch: pytest.MonkeyPatch, where: type, name: str, sabotage: object, likely: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(where, name, sabotage)
        outcome = first_failure(likely=likely)
    assert simulate(outcome.plan).violation is None, "it is not the sabotage that was found"
