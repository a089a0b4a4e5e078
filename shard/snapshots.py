"""When chunks are saved: each once in SNAPSHOT_TICKS, if more than time has passed in it.

Time alone is saved when they go to another owner: their clocks go on there from what is stored.

Spread over that time by the chunk's id, so that PostgreSQL gets an even trickle. A snapshot goes
the way of all emissions, so it is written after all that led to it.
"""

from __future__ import annotations

import math
import zlib

import attrs
import trio

from common.limits import SNAPSHOT_TICKS, TICK_SECONDS
from shard.chunks import Chunks
from shard.emission import Emission, Keep
from shard.live import Live
from shard.outbox import Outbox

LOOK_SECONDS = 1.0  # A thirtieth of the time between two snapshots of a chunk.


@attrs.define(eq=False)
class Snapshots:
    _chunks: Chunks
    _outbox: Outbox
    _saved: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set with the next one that is on disk."""

    async def run(self) -> None:
        """Have chunks saved when they are due, until cancelled."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            due = math.floor(trio.current_time() / TICK_SECONDS)
            for live in self._chunks.unsaved():
                if not live.is_keeping and _is_due(live, due):
                    self.keep(live)

    async def keep_clocks(self) -> None:
        """Save how late it is in those that rest; return when it is done."""
        begun = []
        for live in self._chunks:
            await self._outbox.wait_room()
            if self._chunks.peek(live.id) is live and live.is_resting and not live.is_keeping:
                live.catch_up()
                if live.state.tick != live.stored_tick:
                    self.keep(live)
                    begun.append(live)
        while any(live.is_keeping and not live.is_lost for live in begun):
            await self._saved.wait()

    def keep_all(self) -> None:
        """Have all saved for the last time: the slot is about to end."""
        for live in self._chunks:
            self._outbox.put(Emission(keeps=last_keeps(live)))

    def keep(self, live: Live) -> None:
        live.is_keeping = True
        live.kept_due = live.due
        self._outbox.put(Emission(keeps=(Keep(live.state, live.epoch),)))

    def kept(self, keep: Keep) -> None:
        """It is on disk now."""
        self._saved.set()
        self._saved = trio.Event()
        live = self._chunks.peek(keep.chunk.id)
        if live is not None and live.epoch == keep.epoch:
            live.kept_tick = max(live.kept_tick, keep.chunk.tick)
            live.stored_tick = keep.chunk.tick
            live.is_keeping = False


def last_keeps(live: Live) -> tuple[Keep, ...]:
    """Return how to save ``live`` for the last time: not at all when there is nothing to add.

    Of what is at work it is also said that it stopped just there.
    """
    if live.is_resting and not live.has_changed and live.state.tick == live.stored_tick:
        return ()
    return (Keep(live.state, live.epoch, is_final=True),)


def _is_due(live: Live, due: int) -> bool:
    spread = zlib.crc32(live.id.encode())
    return (due + spread) // SNAPSHOT_TICKS > (live.kept_due + spread) // SNAPSHOT_TICKS
