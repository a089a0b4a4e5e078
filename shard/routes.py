"""Which slot a chunk belongs to, seen from the slot that this process holds.

Pure. The one place in a shard where the shard count is known.
"""

from __future__ import annotations

import attrs

from common.grid import ChunkId, Slot, slot_of


@attrs.frozen
class Routes:
    slot: Slot
    shard_count: int

    def slot_of(self, chunk: ChunkId) -> Slot:
        return slot_of(chunk, self.shard_count)

    def is_ours(self, chunk: ChunkId) -> bool:
        return self.slot_of(chunk) == self.slot
