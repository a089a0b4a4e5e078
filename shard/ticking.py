"""One chunk's task: a tick at each due time, for as long as there is something to do.

All chunks share the due times k * TICK_SECONDS of trio's clock. After a stall a chunk carries on
from now: its clock is late for good rather than in a hurry. A tick happens whole or not at all:
nothing is awaited between reading the chunk and putting what happened into the outbox.
"""

from __future__ import annotations

import math
from time import perf_counter

import attrs
import trio

from common.limits import TICK_SECONDS
from shard import metrics
from shard.aftermath import Aftermath
from shard.lateness import Lateness
from shard.live import Live
from shard.outbox import Outbox
from shard.world.tick import advance


@attrs.define(eq=False)
class Ticking:
    _outbox: Outbox
    _aftermath: Aftermath
    _lateness: Lateness

    async def run(self, live: Live) -> None:
        """Tick until ``live`` may rest, or is lost."""
        if live.is_lost:
            return
        with trio.CancelScope() as live.scope:
            while not live.may_rest:
                await self._wait_due(live)
                self._tick(live)
        live.is_resting = True

    async def _wait_due(self, live: Live) -> None:
        due = max(live.due + 1, math.ceil(trio.current_time() / TICK_SECONDS))
        await trio.sleep_until(due * TICK_SECONDS)
        while live.is_committing or self._outbox.is_full:
            await live.wait_committed()
            await self._outbox.wait_room()
        live.due = due
        self._lateness.add(trio.current_time() - due * TICK_SECONDS)

    def _tick(self, live: Live) -> None:
        started = perf_counter()
        before, inputs = live.state, live.waiting
        result = advance(before, inputs)
        live.state, live.waiting, live.ordinal = result.chunk, [], 0
        self._aftermath.follow(live, before, inputs, result)
        metrics.TICK_SECONDS.observe(perf_counter() - started)
