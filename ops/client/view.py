"""What a listener knows of the chunks it hears of, and the check that nobody lies to it.

Pure. A delta must follow without a gap from a ``chunk_static``; what does not raises StreamBroken.
The client does not mend such a stream: that a gap is never silent is the server's promise.
"""

from __future__ import annotations

import attrs

from common.frames import ChunkDelta, ChunkStatic
from common.grid import ChunkId
from common.replica import Replica, fold, is_next, replica_of


class StreamBroken(Exception):
    """The server's stream had a gap, a repetition, or a delta before its static."""


@attrs.define
class View:
    """The chunks as the stream has told them."""

    replicas: dict[ChunkId, Replica] = attrs.field(factory=dict)

    def see(self, frame: ChunkStatic | ChunkDelta) -> Replica:
        """Take ``frame`` in; return its chunk as it is now."""
        known = self.replicas.get(frame.chunk)
        match frame:
            case ChunkStatic():
                self.replicas[frame.chunk] = replica_of(frame)
            case ChunkDelta(prev_tick=prev_tick, tick=tick):
                if known is None:
                    raise StreamBroken(f"a delta of {frame.chunk} before its chunk_static")
                if not is_next(known, frame):
                    raise StreamBroken(f"{frame.chunk}: {prev_tick}..{tick} after {known.tick}")
                self.replicas[frame.chunk] = fold(known, frame)
        return self.replicas[frame.chunk]
