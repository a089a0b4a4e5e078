"""The benchmark itself, at its smallest, so that it can't rot. Nothing here is a figure."""

from __future__ import annotations

import io
import math

import pytest
import trio
from rich.console import Console

from ops.bench import arriving, fanning, replaying, stopping
from ops.bench.outcome import Figure
from ops.bench.streams import Sizes, bench

pytestmark = pytest.mark.cluster

SMALLEST = Sizes(
    fanning.Size(readers=(20,), most=30, frames=10, seconds=2, warm_seconds=0.5),
    arriving.Size(
        readers=20, within_seconds=0.2, chunks=4, window_seconds=2, turns=1, warm_seconds=1
    ),
    stopping.Size(readers=10, stopped=5, fill_seconds=2, seconds=2, turns=1, stand_seconds=3),
    replaying.Size(times=3, at_once=3, view_times=1),
)


async def test_every_case_measures_real_processes_and_says_so_in_its_table() -> None:
    told = io.StringIO()

    with trio.fail_after(150):
        figures = await bench(SMALLEST, (), Console(file=told, width=160))

    assert {figure.case[0] for figure in figures} == set("ABCDEF")
    assert all(figure.what in told.getvalue() for figure in figures)
    assert not [figure for figure in figures if math.isnan(figure.value)]
    assert _value(figures, "of those that were due") == 1
    assert _value(figures, "CPU an event") > 0
    assert _value(figures, "FastAPI: CPU an event") > 0
    assert _value(figures, "without chunk_static") == 0


def _value(figures: list[Figure], what: str) -> float:
    return next(figure.value for figure in figures if figure.what == what)
