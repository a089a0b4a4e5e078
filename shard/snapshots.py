"""When chunks are saved: each once in SNAPSHOT_TICKS, if more than time has passed in it.

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

    async def run(self) -> None:
        """Have chunks saved when they are due, until cancelled."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            due = math.floor(trio.current_time() / TICK_SECONDS)
            for live in self._chunks.unsaved():
                if not live.is_keeping and _is_due(live, due):
                    self.keep(live)

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
        live = self._chunks.peek(keep.chunk.id)
        if live is not None and live.epoch == keep.epoch:
            live.kept_tick = keep.chunk.tick
            live.is_keeping = False


def last_keeps(live: Live) -> tuple[Keep, ...]:
    """Return how to save ``live`` for the last time: not at all when there is nothing to add.

    Of what is at work it is also said that it stopped just there.
    """
    if not live.has_changed and live.is_resting:
        return ()
    return (Keep(live.state, live.epoch, is_final=True),)


def _is_due(live: Live, due: int) -> bool:
    spread = zlib.crc32(live.id.encode())
    return (due + spread) // SNAPSHOT_TICKS > (live.kept_due + spread) // SNAPSHOT_TICKS
