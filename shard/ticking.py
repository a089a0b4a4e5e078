"""One chunk's task: a tick at each due time, for as long as there is something to do.

Due times are absolute (``shard.metronome``). After a stall a chunk carries on from now: its clock
is late for good rather than in a hurry. A tick happens whole or not at all:
nothing is awaited between reading the chunk and putting what happened into the outbox.
"""

from __future__ import annotations

from time import perf_counter

import attrs
import trio

from shard import metrics
from shard.aftermath import Aftermath
from shard.lateness import Lateness
from shard.live import Live
from shard.metronome import Metronome, due_time, next_due
from shard.outbox import Outbox
from shard.pauses import PauseMeter
from shard.world.tick import advance


@attrs.define(eq=False)
class Ticking:
    _metronome: Metronome
    _outbox: Outbox
    _aftermath: Aftermath
    _lateness: Lateness
    _pauses: PauseMeter

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
        due = max(live.due + 1, next_due(live.phase))
        await self._metronome.wait_turn(live.phase, due)
        while live.is_committing or self._outbox.is_full:
            await live.wait_committed()
            await self._outbox.wait_room()
        live.due = due
        self._lateness.add(trio.current_time() - due_time(live.phase, due))

    def _tick(self, live: Live) -> None:
        if live.is_new:
            live.is_new = False
            self._pauses.began(live.id)
        started = perf_counter()
        before, inputs = live.state, live.waiting
        result = advance(before, inputs)
        live.state, live.waiting, live.ordinal = result.chunk, [], 0
        self._aftermath.follow(live, before, inputs, result)
        metrics.TICK_SECONDS.observe(perf_counter() - started)
