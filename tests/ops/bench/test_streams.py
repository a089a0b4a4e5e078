"""The benchmark itself, at its smallest, so that it can't rot. Nothing here is a figure."""

from __future__ import annotations

import io
import math

import pytest
import trio
from rich.console import Console

from ops.bench import arriving, exchanging, fanning, replaying, stopping
from ops.bench.outcome import Figure
from ops.bench.streams import Sizes, bench

pytestmark = pytest.mark.cluster

SMALLEST = Sizes(
    fanning.Size(readers=(20,), most=30, frames=10, seconds=1, warm_seconds=0.5),
    arriving.Size(
        readers=20, within_seconds=0.2, chunks=4, window_seconds=2, turns=1, warm_seconds=1
    ),
    stopping.Size(readers=10, stopped=5, fill_seconds=2, seconds=2, turns=1, stand_seconds=3),
    replaying.Size(delta_bytes=(300,), times=3, at_once=3, view_times=1),
    exchanging.Size(
        agents=6,
        rate=12,
        each=2,
        seconds=2,
        rounds=1,
        warm_seconds=1,
        many=8,
        many_rate=8,
        many_seconds=2,
    ),
)


async def a_run_of(case: str) -> list[Figure]:
    """The figures, all of which are measured and in the table."""
    told = io.StringIO()
    with trio.fail_after(150):
        figures = await bench(SMALLEST, (case,), Console(file=told, width=160))
    assert all(figure.what in told.getvalue() for figure in figures)
    assert not [figure for figure in figures if math.isnan(figure.value)]
    return figures


async def test_a_fan_out_is_measured_beside_its_rival() -> None:
    figures = await a_run_of("fanning")
    assert {figure.case[0] for figure in figures} == set("ABF")
    assert _value(figures, "of those that were due") == 1
    assert _value(figures, "CPU an event") > 0
    assert _value(figures, "FastAPI: CPU an event") > 0


async def test_a_crowd_is_seen_to_arrive_beside_a_shard() -> None:
    figures = await a_run_of("arriving")
    assert _value(figures, "without chunk_static") == 0
    assert _value(figures, "lateness as they come, p99") > 0


async def test_stopped_readers_are_weighed() -> None:
    figures = await a_run_of("stopping")
    assert _value(figures, "p99, of what it is without") > 0


async def test_whoever_comes_back_is_told_all() -> None:
    figures = await a_run_of("replaying")
    assert math.isfinite(_value(figures, "one at a time, the slowest"))
    assert _value(figures, "3 at once, shown anew") == 0


async def test_an_exchange_is_measured_beside_its_rival() -> None:
    figures = await a_run_of("agents")
    assert _value(figures, "accepted, of those that were offered") == 1
    assert _value(figures, "CPU of FastAPI for a two-step challenge alone") > 0
    assert _value(figures, "CPU of the gateway an exchange, two steps") > 0
    assert _value(figures, "connections lost, acks and results missing") == 0
    seen = [figure.value for figure in figures if figure.what.startswith("frames that show")]
    assert seen[0] == 0 < seen[1], "only who observes is shown the world"


def _value(figures: list[Figure], what: str) -> float:
    return next(figure.value for figure in figures if figure.what == what)
