"""Chaos against real processes, short: every kind of fault is injected, and no promise broken."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner
from rich.console import Console

from common.errors import Unavailable
from ops.chaos.faults import KINDS, draw_faults
from ops.chaos.report import Story, show
from ops.chaos.run import Order, chaos
from ops.cli import main

pytestmark = pytest.mark.cluster

SEED, SECONDS = 60, 32.0  # Each kind once, and both takeovers while the servers are there.


async def test_no_promise_is_broken_while_everything_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    told, stories = io.StringIO(), list[Story]()

    def keep(story: Story, console: Console) -> None:
        stories.append(story)
        show(story, console)

    monkeypatch.setattr("ops.chaos.run.show", keep)

    with trio.fail_after(180):
        is_kept = await chaos(
            Order(SEED, SECONDS, agents=30, rate=100), Console(file=told, width=200)
        )

    assert is_kept, told.getvalue()
    injector = stories[0].injector
    assert {one.fault.kind for one in injector.injected} == set(KINDS)
    assert injector.skipped.total() == 0, injector.skipped
    assert any(injector.is_judged(one) for one in injector.injected if one.takes_slot)
    assert any(injector.is_serving_judged(one) for one in injector.injected if one.takes_slot)


# Not async: the command brings its own trio.
def test_a_broken_promise_is_said_and_ends_it_with_1_and_what_it_left_is_kept(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(data.parent))
    monkeypatch.setattr("ops.chaos.injector.TAKEOVER_SECONDS_MAX", 0.1)  # A lease lasts longer.
    monkeypatch.setattr("ops.chaos.coverage.HELD_SHARE_MIN", 1.1)
    seed = 43
    assert [fault.kind for fault in draw_faults(seed, 6, 2, 2)] == ["kill shard"]

    words = ["chaos", "--minutes", "0.1", "--seed", str(seed), "--agents", "2", "--rate", "10"]
    answer = CliRunner().invoke(main, words, env={"COLUMNS": "200"})

    assert answer.exit_code == 1, answer.output
    assert "1 x a spare takes over within 5 s" in answer.output
    assert "1 x what was taken over is served within 5 s" in answer.output
    assert "1 x most results are held against what was seen" in answer.output
    (folder,) = data.parent.iterdir()
    assert f"kept in {folder}" in answer.output
    assert (folder / "up.log").stat().st_size > 0


async def test_where_the_world_did_not_start_its_log_is_kept(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(data.parent))
    monkeypatch.setenv("TESSERA_LOG_FORMAT", "xml")

    with trio.fail_after(60), pytest.RaisesGroup(Unavailable, flatten_subgroups=True) as raised:
        await chaos(Order(1, 6.0), Console(file=io.StringIO()))

    (folder,) = data.parent.iterdir()
    log = folder / "up.log"
    assert str(log) in str(raised.value.exceptions[0])
    assert "TESSERA_LOG_FORMAT" in log.read_text()
