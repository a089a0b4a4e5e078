"""Shards that come and go, and processes that are replaced, under load: no promise is broken."""

from __future__ import annotations

import io
import math

import attrs
import pytest
import trio
from click.testing import CliRunner
from rich.console import Console

from common.grid import Slot, chunk_id, slot_of
from common.topology import Topology
from ops.chaos.reshaping import Chunks
from ops.chaos.run import Order, chaos
from ops.cli import main

pytestmark = pytest.mark.cluster


def test_who_stays_keeps_the_slot_and_the_process() -> None:
    chunk = next(one for one in (chunk_id(n, 0) for n in range(99)) if slot_of(one, 8) == 0)
    moving = next(one for one in (chunk_id(n, 0) for n in range(99)) if slot_of(one, 8) == 3)
    held = {Slot(0): "one", Slot(3): "two"}
    change = Chunks(Topology(1, 8), Topology(2, 1), held, {Slot(0): "one"})
    assert change.stays(chunk)
    assert not change.stays(moving)
    assert not attrs.evolve(change, holds={Slot(0): "two"}).stays(chunk)


@pytest.mark.alone
async def test_nothing_is_lost_or_doubled_and_no_pause_is_long_from_2_to_4_to_1_shards() -> None:
    await kept(Order(1, 10.0, agents=16, rate=60, witnesses=2, reshard=(4, 1)))


async def test_nothing_is_lost_or_doubled_when_every_process_is_replaced_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Not judged beside other tests: whoever waits for a processor is late, too.
    monkeypatch.setattr("ops.chaos.reshaping.PAUSE_SECONDS_MAX", math.inf)
    monkeypatch.setattr("ops.chaos.reshaping.STAYING_SECONDS_MAX", math.inf)
    await kept(Order(2, 10.0, agents=16, rate=60, witnesses=2, roll=True))


async def kept(order: Order) -> None:
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
