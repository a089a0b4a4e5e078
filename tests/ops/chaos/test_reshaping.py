"""Shards that come and go, and processes that are replaced, under load: no promise is broken."""

from __future__ import annotations

import io
import math

import pytest
import trio
from click.testing import CliRunner
from rich.console import Console

from ops.chaos.run import Order, chaos
from ops.cli import main

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize(
    "order",
    [
        Order(1, 10.0, agents=16, rate=60, witnesses=2, reshard=(4, 1)),
        Order(2, 10.0, agents=16, rate=60, witnesses=2, roll=True),
    ],
    ids=["2 to 4 to 1 shards", "every process replaced in turn"],
)
async def test_nothing_is_lost_or_doubled(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    # Not judged here: a chunk that rested looks like one that stood still (``ops.chaos.tempo``).
    monkeypatch.setattr("ops.chaos.reshaping.PAUSE_SECONDS_MAX", math.inf)
    monkeypatch.setattr("ops.chaos.reshaping.STAYING_SECONDS_MAX", math.inf)
    told = io.StringIO()
    with trio.fail_after(180):
        is_kept = await chaos(order, Console(file=told, width=200))
    assert is_kept, told.getvalue()


# Not async: the command brings its own trio.
def test_a_pause_that_is_too_long_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.chaos.run.RESHARDINGS", (1, 2))
    monkeypatch.setattr("ops.chaos.reshaping.PAUSE_SECONDS_MAX", 0.1)  # A tick is longer.
    words = ["chaos", "--reshard", "--minutes", "0.1", "--agents", "20", "--rate", "80"]
    answer = CliRunner().invoke(main, words, env={"COLUMNS": "200"})
    assert answer.exit_code == 1, answer.output
    assert "1 to 2 shards" in answer.output
    assert " x a chunk that moves stands still for less than 1 s" in answer.output
