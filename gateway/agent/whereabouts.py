"""Which chunk an agent is in, followed through what its feed says.

Pure, and it changes no subscription: it says where to listen. It believes the stream first
(``left`` with ``to``), then a shard that was asked (Attached). When the agent is not where it
should be for a while, because its crossing fell into a gap, it says that a shard is to be asked.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from common.envelopes import Attached, ResultLine
from common.events import Entered, Left
from common.grid import AgentId, ChunkId
from gateway.stream.follow import FeedDelta, Static

_MISSED_LOOKS_MAX = 2  # The neighbour's stream may be a tick or two behind the one just left.


@attrs.frozen
class Gone:
    """The agent left the world: its session is over."""


@attrs.define
class Whereabouts:
    agent: AgentId
    chunk: ChunkId
    """Where it is, as far as we know."""
    _seen: bool = False
    """Whether the feed of ``chunk`` showed it there."""
    _missed_looks: int = 0

    def see_static(self, static: Static) -> None:
        if static.chunk == self.chunk:
            # As text: reading 400 entities to find one takes a millisecond. Ids are unique words;
            # whoever takes another's id for a name only makes that agent be found later.
            self._seen = f'"{self.agent}"'.encode() in static.data

    def see_crossing(self, event: Entered | Left) -> ChunkId | Gone | None:
        """Take what a delta of ``chunk`` says of the agent; return where it went, if it did."""
        if isinstance(event, Entered):
            self._seen = True
            return None
        if event.to is None:
            return Gone()
        return self._move(event.to)

    def see_result(self, line: ResultLine) -> None:
        """A result names the chunk that it was in: a hint, since either may be ahead."""
        if line.chunk != self.chunk:
            self._seen = False

    def see_attached(self, attached: Attached) -> ChunkId | None:
        """Take a shard's word for it; return where it is if that is news."""
        if attached.chunk == self.chunk:
            self._seen = True
            return None
        return self._move(attached.chunk)

    def _move(self, chunk: ChunkId) -> ChunkId:
        self.chunk, self._seen, self._missed_looks = chunk, False, 0
        return chunk

    def look(self) -> bool:
        """Called now and then: True when a shard should be asked where the agent is."""
        self._missed_looks = 0 if self._seen else self._missed_looks + 1
        if self._missed_looks <= _MISSED_LOOKS_MAX:
            return False
        self._missed_looks = 0
        return True


@attrs.define
class Crossings:
    """Who came and went in a delta, worked out once for all who listen to it.

    The fan-out tells one delta to everybody before the next, so the last one is enough to keep.
    """

    _item: FeedDelta | None = None
    _found: Mapping[AgentId, Entered | Left] = attrs.field(factory=dict)

    def of(self, item: FeedDelta, agent: AgentId) -> Entered | Left | None:
        """The last coming or going of ``agent`` in ``item``."""
        if item is not self._item:
            self._item = item
            self._found = {
                event.id: event for event in item.events if isinstance(event, Entered | Left)
            }
        return self._found.get(agent)
