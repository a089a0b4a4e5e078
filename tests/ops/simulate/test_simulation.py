from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import BrokenExecutor
from io import StringIO

import attrs
import pytest
from rich.console import Console

from ops.simulate.plan import ALL_FAULTS, Fault, Plan
from ops.simulate.seeds import outcomes, run_all, run_one
from ops.simulate.simulation import simulate
from tests.ops.simulate.saboteurs import FATAL, FORGETFUL

SMALL = Plan(7, minutes=0.3, agents=6, spectators=2)
DIGEST = """
from ops.simulate.plan import Plan
from ops.simulate.simulation import simulate
print(simulate(Plan(7, minutes=0.3, agents=6, spectators=2)).digest)
"""


def test_without_faults_all_that_is_accepted_is_done_and_nothing_is_shown_anew() -> None:
    outcome = simulate(Plan(1, minutes=0.5, agents=8, spectators=2, faults=frozenset()))
    assert outcome.violation is None
    assert outcome.counts["ack done"] > 8
    assert outcome.counts["crossings"] > 0
    assert outcome.counts["watched"] > 100
    assert outcome.counts["resyncs"] == 0
    assert outcome.counts["refused unavailable"] == 0


@pytest.mark.slow
def test_chunks_are_collected_and_come_back() -> None:
    counts: Counter[str] = Counter()
    for seed in range(10):
        outcome = simulate(Plan(seed, minutes=2, agents=3, spectators=2))
        assert outcome.violation is None, outcome.violation
        counts += outcome.counts
        if counts["collected"] > 5 and counts["reborn"] > 0:
            return
    raise AssertionError(f"nothing came back: {counts}")


def test_the_same_seed_is_the_same_run_and_another_one_is_not() -> None:
    first = simulate(SMALL)
    assert simulate(SMALL).digest == first.digest
    assert simulate(SMALL.with_seed(8)).digest != first.digest


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_a_seed_is_the_same_run_in_a_fresh_process(hash_seed: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    run = subprocess.run(
        [sys.executable, "-c", DIGEST], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == simulate(SMALL).digest


@pytest.mark.slow
def test_every_kind_of_fault_happens() -> None:
    events = "\n".join(
        line for seed in range(10) for line in simulate(SMALL.with_seed(seed)).recent
    )
    for sign in ("is killed", "is stopped", "Redis is away", "PostgreSQL is away", "forgotten",
                 "ms off", "loses its connection", "subscriptions are cut"):  # fmt: skip
        assert sign in events, sign


@pytest.mark.slow
def test_no_seed_breaks_a_promise() -> None:
    plans = [Plan(seed, minutes=0.4, agents=6, spectators=1) for seed in range(200)]
    counts: Counter[str] = Counter()
    for outcome in outcomes(plans):
        assert outcome.violation is None, f"{outcome.violation}: {outcome.plan.command}"
        counts += outcome.counts
    # Of a world in which little happens it proves little: about half of what there was.
    enough = {"ack done": 900, "crossings": 280, "collected": 45, "turned back": 30, "resyncs": 150,
              "drains": 60, "reshards": 70, "call unanswered": 800, "news dropped": 90,
              "refused not_walkable": 20, "result blocked": 5}  # fmt: skip
    assert not {what: counts[what] for what, least in enough.items() if counts[what] < least}


def test_a_failure_says_its_seed_and_how_to_see_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(3, 0.5, agents=8, spectators=1, faults=ALL_FAULTS - {Fault.CLOCKS})
    outcome = next(
        one
        for one in (simulate(plan.with_seed(seed), FORGETFUL) for seed in (12, *range(99)))
        if one.violation is not None
    )
    monkeypatch.setattr("ops.simulate.seeds.simulate", lambda _: outcome)
    out = StringIO()
    assert not run_one(outcome.plan, Console(file=out, width=200), verbose=False)
    assert f"seed {outcome.plan.seed} FAILED: {outcome.violation}" in out.getvalue()
    assert outcome.plan.command in out.getvalue()
    assert (
        "--faults calls,cuts,drains,flushes,kills,outages,pauses,pubsub,reshards"
        in outcome.plan.command
    )


def test_a_seed_that_keeps_every_promise_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = simulate(SMALL)
    monkeypatch.setattr("ops.simulate.seeds.simulate", lambda _: outcome)
    out = StringIO()
    assert run_one(outcome.plan, Console(file=out, width=200), verbose=False)
    assert "no promise was broken" in out.getvalue()


def test_one_seed_of_many_that_fails_is_said_and_fails_them_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good = simulate(SMALL)
    bad = attrs.evolve(good, violation="somebody is in two places", plan=SMALL.with_seed(8))
    for told, is_kept in (((good,), True), ((good, bad), False)):
        monkeypatch.setattr("ops.simulate.seeds.outcomes", lambda _, told=told: iter(told))
        out = StringIO()
        assert run_all([one.plan for one in told], Console(file=out, width=200)) is is_kept
        assert ("seed 8 FAILED: somebody is in two places" in out.getvalue()) is not is_kept


@pytest.mark.slow
def test_seeds_run_in_other_processes_as_they_do_in_this_one() -> None:
    plans = [SMALL.with_seed(seed) for seed in (1, 2)]
    digests = {one.plan.seed: one.digest for one in outcomes(plans)}
    assert digests == {plan.seed: simulate(plan).digest for plan in plans}


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_others_and_fails_them_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plans = [SMALL.with_seed(seed) for seed in range(6)]
    with pytest.raises(BrokenExecutor):
        list(outcomes(plans, FATAL))
    monkeypatch.setattr("ops.simulate.seeds.outcomes", lambda plans: outcomes(plans, FATAL))
    out = StringIO()
    assert not run_all(plans, Console(file=out, width=200))
    assert "6 seeds are left" in out.getvalue()
