"""What Redis keeps of the deltas of a chunk, read once for all who come back at the same time.

It remembers nothing: a reading is shared by those who asked while it was under way, if it has all
that they need. Those who need more read again, one for all. It raises what the bus does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import attrs
import trio

from common.bus import Delta
from common.grid import ChunkId, Tick
from gateway.ports import Bus


@attrs.define(eq=False)
class _Reading:
    """Of all deltas later than ``tick``, up to the last at that moment."""

    tick: Tick
    deltas: Sequence[Delta] = ()
    ended: trio.Event = attrs.field(factory=trio.Event)

    def has_all(self, after: Tick, until: Tick) -> bool:
        return self.tick <= after and bool(self.deltas) and self.deltas[-1].tick >= until


@attrs.define(eq=False)
class Backlog:
    _bus: Bus
    _under_way: dict[ChunkId, _Reading] = attrs.field(factory=dict, init=False)

    async def deltas(self, chunk: ChunkId, after: Tick, until: Tick) -> Sequence[Delta] | None:
        """Return every delta later than ``after``, at least to ``until`` if there are so many.

        None when some are no longer kept, as ``Bus.deltas_after``.
        """
        while (reading := self._under_way.get(chunk)) is not None:
            await reading.ended.wait()
            if reading.has_all(after, until):
                return reading.deltas[bisect_right(reading.deltas, after, key=_tick) :]
        return await self._read(chunk, after)

    async def _read(self, chunk: ChunkId, after: Tick) -> Sequence[Delta] | None:
        reading = self._under_way[chunk] = _Reading(after)
        try:
            deltas = await self._bus.deltas_after(chunk, after)
            if deltas is not None:
                reading.deltas = deltas
            return deltas
        finally:  # Also when it failed: then the next in turn reads.
            del self._under_way[chunk]
            reading.ended.set()


def _tick(delta: Delta) -> Tick:
    return delta.tick
