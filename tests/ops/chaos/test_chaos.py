"""Chaos against real processes, short: every kind of fault once, and no promise broken."""

from __future__ import annotations

import io

import pytest
import trio
from rich.console import Console

from ops.chaos.faults import KINDS, draw_faults
from ops.chaos.run import Order, chaos

pytestmark = pytest.mark.cluster

SEED, SECONDS = 23, 24.0  # Each kind once, and both takeovers while the servers are there.


async def test_no_promise_is_broken_while_everything_dies() -> None:
    faults = draw_faults(SEED, SECONDS, gateways=2, slots=2)
    assert {fault.kind for fault in faults} == set(KINDS)
    told = io.StringIO()

    with trio.fail_after(180):
        is_kept = await chaos(
            Order(SEED, SECONDS, agents=30, rate=100), Console(file=told, width=200)
        )

    assert is_kept, told.getvalue()
