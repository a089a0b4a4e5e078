"""The benchmark itself, at its smallest, so that it can't rot. Nothing here is a figure."""

from __future__ import annotations

import io
import math

import pytest
import trio
from rich.console import Console

from ops.bench import arriving, exchanging, fanning, stopping
from ops.bench.outcome import Figure
from ops.bench.streams import Sizes, bench

pytestmark = pytest.mark.cluster

SMALLEST = Sizes(
    fanning.Size(readers=(20,), most=30, seconds=2, warm_seconds=0.5),
    arriving.Size(readers=20, within_seconds=0.2),
    stopping.Size(readers=10, stopped=5, fill_seconds=5, seconds=2, rounds=1),
    exchanging.Size(
        agents=6, rate=12, each=2, seconds=2, rounds=1, warm_seconds=1,
        many=8, many_rate=8, many_seconds=2,
    ),
)  # fmt: skip


async def test_every_case_measures_real_processes_and_says_so_in_its_table() -> None:
    told = io.StringIO()

    with trio.fail_after(240):
        figures = await bench(SMALLEST, (), Console(file=told, width=160))

    assert {figure.case[0] for figure in figures} == set("ABCDEF")
    assert all(figure.what in told.getvalue() for figure in figures)
    assert not [figure for figure in figures if math.isnan(figure.value)]
    assert _value(figures, "of those that were due") == 1
    assert _value(figures, "CPU an event") > 0
    assert _value(figures, "FastAPI: CPU an event") > 0
    assert _value(figures, "without chunk_static") == 0
    assert _value(figures, "accepted, of those that were offered") == 1
    assert _value(figures, "CPU of FastAPI for a two-step challenge alone") > 0
    assert _value(figures, "CPU of the gateway an exchange, two steps") > 0
    assert _value(figures, "connections lost, acks and results missing") == 0
    seen = [figure.value for figure in figures if figure.what.startswith("frames that show")]
    assert seen[0] == 0 < seen[1], "only who observes is shown the world"


def _value(figures: list[Figure], what: str) -> float:
    return next(figure.value for figure in figures if figure.what == what)
