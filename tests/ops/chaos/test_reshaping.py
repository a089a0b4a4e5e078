"""Shards that come and go, and processes that are replaced, under load: no promise is broken."""

from __future__ import annotations

import io

import pytest
import trio
from click.testing import CliRunner
from rich.console import Console

from ops.chaos.run import Order, chaos
from ops.cli import main

pytestmark = pytest.mark.cluster


@pytest.mark.alone
async def test_nothing_is_lost_or_doubled_and_no_pause_is_long_from_2_to_4_to_1_and_back() -> None:
    # Of the chunks at work that of the first cell moves at 4 and at 1, and stays at the last 2.
    await kept(Order(1, 10.0, agents=16, rate=60, witnesses=2, reshard=(4, 1, 2)))


@pytest.mark.alone
async def test_nothing_is_lost_or_doubled_and_no_pause_is_long_while_all_is_replaced() -> None:
    await kept(Order(2, 10.0, agents=16, rate=60, witnesses=2, roll=True))


async def kept(order: Order) -> None:
    told = io.StringIO()
    with trio.fail_after(180):
        is_kept = await chaos(order, Console(file=told, width=200))
    assert is_kept, told.getvalue()


# Not async: the command brings its own trio.
def test_a_pause_that_is_too_long_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.chaos.run.RESHARDINGS", (1, 2))
    monkeypatch.setattr("ops.chaos.change.PAUSE_SECONDS_MAX", 0.1)  # A tick is longer.
    words = ["chaos", "--reshard", "--minutes", "0.1", "--agents", "20", "--rate", "80"]
    answer = CliRunner().invoke(main, words, env={"COLUMNS": "200"})
    assert answer.exit_code == 1, answer.output
    assert "1 to 2 shards" in answer.output
    assert " x a chunk that moves stands still for less than 1 s" in answer.output
