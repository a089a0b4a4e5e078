"""Shards that come and go, and processes that are replaced, under load: no promise is broken."""

from __future__ import annotations

import io

import pytest
import trio
from rich.console import Console

from ops.chaos.run import Order, chaos

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize(
    "order",
    [
        Order(1, 10.0, agents=16, rate=60, witnesses=2, reshard=(4, 3, 8, 1)),
        Order(2, 10.0, agents=16, rate=60, witnesses=2, roll=True),
    ],
    ids=["2 to 4 to 3 to 8 to 1 shards", "every process replaced in turn"],
)
async def test_nothing_is_lost_or_doubled_and_pauses_are_short(order: Order) -> None:
    told = io.StringIO()
    with trio.fail_after(180):
        is_kept = await chaos(order, Console(file=told, width=200))
    assert is_kept, told.getvalue()
