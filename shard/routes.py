"""Which slot a chunk belongs to, seen from a slot that this process holds, by the topology known.

The one place in a shard where the shard count is known. The topology may change at any moment
in which somebody waits; from then on what is no longer ours is passed on.
"""

from __future__ import annotations

import math

import attrs
import trio

from common.grid import ChunkId, Slot, slot_of
from common.limits import HANDOVER_SECONDS_MAX
from common.topology import Topology


@attrs.define(eq=False)
class Routes:
    slot: Slot
    topology: Topology
    changed_at: float = attrs.field(default=-math.inf, init=False)
    """By trio's clock."""
    _recent: tuple[Topology, ...] = attrs.field(default=(), init=False)
    """Those before, by which another may still be at work."""
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)

    def slot_of(self, chunk: ChunkId) -> Slot:
        return slot_of(chunk, self.topology.shard_count)

    def is_ours(self, chunk: ChunkId) -> bool:
        return self.slot_of(chunk) == self.slot

    def was_another_s(self, chunk: ChunkId) -> bool:
        """Whether ``chunk`` was not ours by a topology of the last moments."""
        return any(slot_of(chunk, one.shard_count) != self.slot for one in self._recent)

    def change(self, topology: Topology) -> None:
        """Go by ``topology`` from now on, unless we go by a later one."""
        if topology.epoch <= self.topology.epoch:
            return
        now = trio.current_time()
        recent = self._recent if now < self.changed_at + HANDOVER_SECONDS_MAX else ()
        self._recent = (*recent, self.topology)
        self.topology, self.changed_at = topology, now
        self._changed.set()
        self._changed = trio.Event()

    async def wait_change(self, epoch: int) -> None:
        """Return once the topology is not that of ``epoch`` any more."""
        while self.topology.epoch == epoch:
            await self._changed.wait()
