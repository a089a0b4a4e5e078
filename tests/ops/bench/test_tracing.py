"""The benchmark itself, at its smallest, so that it can't rot. Nothing here is a figure."""

from __future__ import annotations

import pytest
import trio
import trio_asyncio

from ops.bench.rig import a_rig
from ops.bench.tracing import Size, measure

pytestmark = pytest.mark.cluster


async def test_every_way_of_tracing_is_measured() -> None:
    size = Size(agents=4, rate=8, each=2, seconds=1, rounds=1, warm_seconds=0.5)
    with trio.fail_after(150):
        async with trio_asyncio.open_loop(), a_rig() as rig:
            figures = await measure(rig, size)
    assert len({figure.case for figure in figures}) == 4
    for what in ("CPU of the gateway a command", "memory of the gateway"):
        assert all(figure.value > 0 for figure in figures if figure.what == what)
