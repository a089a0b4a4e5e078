"""What a spectator was told over all its connections, held against what the world made.

Pure. For each chunk, from its first static on, every delta that was published comes exactly once
and byte for byte, in order; or it lies before a static that a ``resync`` announced. The originals
may be filled in while a transcript is checked, but a delta must be there before it is told.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Literal

import attrs

from common.grid import ChunkId, Tick


@attrs.define(eq=False)
class Original:
    """The deltas of one chunk, over all its generations."""

    ticks: list[Tick] = attrs.field(factory=list)
    """In order."""
    data: dict[Tick, bytes] = attrs.field(factory=dict)

    def add(self, tick: Tick, data: bytes) -> None:
        """``tick`` is later than all before."""
        assert not self.ticks or tick > self.ticks[-1], f"{tick} after {self.ticks[-1]}"
        self.ticks.append(tick)
        self.data[tick] = data

    def after(self, tick: Tick) -> Tick | None:
        """Return the tick of the first delta after ``tick``."""
        at = bisect_right(self.ticks, tick)
        return self.ticks[at] if at < len(self.ticks) else None


@attrs.define(eq=False)
class Transcript:
    """Each method returns what is wrong with what was told, None when nothing is."""

    _originals: Mapping[ChunkId, Original]
    _upto: dict[ChunkId, Tick] = attrs.field(factory=dict, init=False)
    """How far each chunk was told; without those of which nothing was."""
    _unknown: set[ChunkId] = attrs.field(factory=set, init=False)
    """Chunks of which the server has forgotten that they were told."""
    _announced: set[ChunkId] = attrs.field(factory=set, init=False)
    """Chunks that a resync spoke of: their static follows."""

    def begin(self, with_id: Literal["last", "foreign", "none"]) -> None:
        """A connection begins: with the last id; or with none, as if there had been no other.

        With an id that is not the server's all chunks are shown anew, which is announced; ids that
        come then know nothing of those whose turn was not yet.
        """
        self._announced.clear()
        for chunk in self._unknown if with_id != "none" else tuple(self._upto):
            del self._upto[chunk]
        self._unknown = set(self._upto) if with_id == "foreign" else set()

    def announce(self, chunks: Iterable[ChunkId]) -> None:
        self._announced.update(chunks)

    def show(self, chunk: ChunkId, tick: Tick) -> str | None:
        """Take a static."""
        known = self._upto.get(chunk)
        fault = None
        if known is not None and chunk not in self._announced:
            fault = f"{chunk} at {tick} anew, after {known} and without a resync"
        self._announced.discard(chunk)
        self._unknown.discard(chunk)
        self._upto[chunk] = tick
        return fault

    def tell(self, chunk: ChunkId, tick: Tick, data: bytes) -> str | None:
        """Take a delta."""
        known = self._upto.get(chunk)
        if known is None:
            return f"{chunk} at {tick} before its chunk_static"
        if tick <= known:
            return f"{chunk} at {tick} after {known}: twice, or too late"
        self._upto[chunk] = tick
        original = self._originals.get(chunk) or Original()
        expected = original.after(known)
        if expected != tick:
            return f"{chunk} at {tick} after {known}: {expected} was left out"
        if original.data[tick] != data:
            return f"{chunk} at {tick} as {data!r} instead of {original.data[tick]!r}"
        return None

    def missing(self) -> Mapping[ChunkId, Tick]:
        """The first delta of each chunk that was published and not told."""
        found = {
            chunk: self._originals[chunk].after(tick)
            for chunk, tick in self._upto.items()
            if chunk in self._originals
        }
        return {chunk: tick for chunk, tick in found.items() if tick is not None}
