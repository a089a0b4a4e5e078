"""The benchmark itself, at its smallest, so that it can't rot. Nothing here is a figure."""

from __future__ import annotations

import io
import math

import pytest
import trio
from rich.console import Console

from ops.bench import answering, crowding, idling, walking
from ops.bench.outcome import Figure
from ops.bench.world import Sizes, bench

pytestmark = pytest.mark.cluster

SMALLEST = Sizes(
    walking.Size(chunks=4, walkers=20, rate=20, warm_seconds=1.5, seconds=2),
    answering.Size(agents=4, rate=20, warm_seconds=0.5, seconds=1.5),
    crowding.Size(agents=40, seconds=2),
    idling.Size(chunks=20, warm_seconds=0.5, seconds=1),
)


async def test_every_case_measures_real_processes_and_says_so_in_its_table() -> None:
    told = io.StringIO()

    with trio.fail_after(100):
        figures = await bench(SMALLEST, (), Console(file=told, width=160))

    assert {figure.case[0] for figure in figures} == set("ABCD")
    assert all(figure.what in told.getvalue() for figure in figures)
    assert not [figure for figure in figures if math.isnan(figure.value)]
    assert _value(figures, "agents that stepped, a tick") > 70
    assert _value(figures, "commands journaled a second") > 10
    assert _value(figures, "accepted a second") > 10
    assert _value(figures, "CPU, shard") > 0


def _value(figures: list[Figure], what: str) -> float:
    return next(figure.value for figure in figures if figure.what == what)
