"""Where messages to a chunk go: the slot that holds it, by the topology known now.

It does not look anything up: whoever learns of a change puts it in. One instance a process,
asked at each message, so that a change counts from the next one on.
"""

from __future__ import annotations

import attrs

from common.grid import ChunkId, Slot, slot_of
from common.topology import Topology


@attrs.define
class Routes:
    topology: Topology

    def slot(self, chunk: ChunkId) -> Slot:
        return slot_of(chunk, self.topology.shard_count)
