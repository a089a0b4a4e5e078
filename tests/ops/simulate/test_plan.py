from __future__ import annotations

import pytest
from click.testing import CliRunner

from ops.cli import main
from ops.simulate.plan import ALL_FAULTS, Fault, Plan, faults_named
from ops.simulate.seeds import seeds_named


def test_faults_are_read_by_name() -> None:
    assert faults_named("all") == ALL_FAULTS
    assert faults_named("none") == frozenset()
    assert faults_named("kills, clocks") == {Fault.KILLS, Fault.CLOCKS}
    with pytest.raises(ValueError, match="earthquakes"):
        faults_named("earthquakes")


def test_the_last_seed_of_a_range_is_not_in_it() -> None:
    assert list(seeds_named("3..6")) == [3, 4, 5]
    for text in ("6..3", "3", "..", "a..b"):
        with pytest.raises(ValueError):  # noqa: PT011  Whatever int says.
            seeds_named(text)


def test_everybody_has_dice_of_their_own() -> None:
    plan = Plan(1)
    assert plan.dice("a").random() == plan.dice("a").random()
    assert plan.dice("a").random() != plan.dice("b").random()
    assert plan.dice("a").random() != plan.with_seed(2).dice("a").random()


@pytest.mark.parametrize(
    "arguments", [["--seed", "1", "--seeds", "0..2"], ["--seeds", "2"], ["--faults", "rain"]]
)
def test_what_makes_no_sense_is_said(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, ["simulate", *arguments]).exit_code == 2


def test_the_command_line_runs_a_seed() -> None:
    arguments = ["simulate", "--seed", "5", "--minutes", "0.1", "--agents", "2", "--shards", "1"]
    ran = CliRunner().invoke(main, arguments)
    assert ran.exit_code == 0, ran.output
    assert "seed 5: " in ran.output
    assert "times real time" in ran.output
