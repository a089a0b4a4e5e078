"""What an agent sees: one chunk at a time, a static and then deltas without a gap.

It folds nothing: what a static shows is compared with the census, and the watchers fold. The
check of each delta is the reference client's, by its numbers alone.
"""

from __future__ import annotations

import attrs

from common.frames import ChunkDelta, ChunkStatic
from common.grid import ChunkId, Tick
from ops.simulate.census import Census
from ops.simulate.ledger import Ledger


@attrs.define(eq=False)
class Sight:
    _whose: str
    _ledger: Ledger
    _census: Census
    chunk: ChunkId | None = attrs.field(default=None, init=False)
    _tick: Tick = attrs.field(default=Tick(0), init=False)
    _seen: dict[ChunkId, Tick] = attrs.field(factory=dict, init=False)
    """How far each chunk was seen by this connection: its time never goes back."""

    def close(self) -> None:
        """A new connection begins with a static; its gateway may be behind the one before."""
        self.chunk = None
        self._seen = {}

    def see(self, frame: ChunkStatic | ChunkDelta) -> None:
        match frame:
            case ChunkStatic(chunk=chunk, tick=tick):
                self._census.check_static(self._whose, frame)
                if tick < self._seen.get(chunk, 0):
                    self._violate(f"{chunk} at {tick} after {self._seen[chunk]}")
                self.chunk = chunk
            case ChunkDelta(chunk=chunk, prev_tick=prev_tick, tick=tick):
                if chunk != self.chunk or not prev_tick <= self._tick < tick:
                    self._violate(f"{chunk} {prev_tick}..{tick} after {self.chunk} {self._tick}")
        self._tick = self._seen[frame.chunk] = frame.tick

    def _violate(self, text: str) -> None:
        self._ledger.violate(f"{self._whose} was shown {text}")
