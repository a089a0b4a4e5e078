"""Real gateways die and clients are cut off, a hundred times: nobody misses anything in silence."""

from __future__ import annotations

import io

import pytest
import trio
from rich.console import Console

from ops.chaos.reconnects import reconnect
from ops.chaos.run import Order

pytestmark = pytest.mark.cluster


async def test_nobody_misses_anything_however_often_they_are_cut_off() -> None:
    told = io.StringIO()
    order = Order(1, 0.0, agents=6, rate=20, witnesses=1)

    with trio.fail_after(240):
        is_kept = await reconnect(order, 100, 6, Console(file=told, width=200))

    assert is_kept, told.getvalue()
