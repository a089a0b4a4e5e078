"""When a slot whose holder was killed or stopped is served again, by looks at Redis.

Pure: it is given looks, and knows no clock. Who has the lease may still be loading, so that is not
asked here: a new holder serves once it publishes a delta, or beats with somebody in its chunks.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from common import topics
from common.grid import ChunkId, Epoch, Slot, Tick
from common.topology import SlotBeat


@attrs.frozen
class Published:
    """How far a chunk was published: by which epoch it may be, and the last tick that was."""

    epoch: Epoch
    tick: Tick


@attrs.frozen
class Look:
    """What Redis said in one moment; of what it knows nothing there is no entry."""

    leases: Mapping[Slot, str] = attrs.field(factory=dict)
    beats: Mapping[Slot, SlotBeat] = attrs.field(factory=dict)
    published: Mapping[ChunkId, Published] = attrs.field(factory=dict)


@attrs.define
class Takeover:
    """Of one slot; made with a look from before. ``is_over`` is to be asked of each look since."""

    slot: Slot
    holder: str
    """The process that had it."""
    _is_inhabited: bool
    _before: Mapping[ChunkId, Published]
    """Of chunks with somebody in them."""
    _taken: dict[ChunkId, Published] = attrs.field(factory=dict)
    """The same, as they were first seen under a newer epoch."""

    @classmethod
    def of(cls, slot: Slot, holder: str, look: Look) -> Takeover:
        beat = look.beats.get(slot)
        inside = [chunk for chunk, agents in beat.busiest.items() if agents] if beat else []
        before = {chunk: look.published[chunk] for chunk in inside if chunk in look.published}
        return cls(slot, holder, bool(beat and beat.agents), before)

    def is_over(self, look: Look) -> bool:
        lease, beat = look.leases.get(self.slot), look.beats.get(self.slot)
        if lease is None or topics.process_of(lease) == self.holder:
            return False
        if beat is not None and beat.holder == lease and (beat.agents or not self._is_inhabited):
            return True
        ticked = [chunk for chunk in self._before if self._has_ticked(chunk, look)]
        return bool(ticked)

    def _has_ticked(self, chunk: ChunkId, look: Look) -> bool:
        now = look.published.get(chunk)
        if now is None or now.epoch <= self._before[chunk].epoch:
            return False
        first = self._taken.get(chunk)
        if first is None or first.epoch != now.epoch:
            first = self._taken[chunk] = now  # Its tick may be the old holder's.
        return now.tick > first.tick
