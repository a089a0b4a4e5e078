"""Listen to the feed of the chunk that an agent is in, and move with it.

It shows the client what the feed says, and decides nothing: where the agent is, is worked out in
``whereabouts``. The client sees the old chunk's last delta, then the new one's static.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from common.accounts import Scope
from common.envelopes import Attached, ResultLine
from common.grid import ChunkId
from gateway.agent.exchange import Exchange
from gateway.agent.outbox import Outbox
from gateway.agent.outside import Feeds
from gateway.agent.whereabouts import Crossings, Gone, Whereabouts
from gateway.stream.follow import FeedDelta, Static


@attrs.define(eq=False)
class Follower:
    """A listener. ``end`` is called, and must not wait, when the agent has left the world."""

    _exchange: Exchange
    _outbox: Outbox
    _feeds: Feeds
    _crossings: Crossings
    _end: Callable[[], None]
    _whereabouts: Whereabouts = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._whereabouts = Whereabouts(self._exchange.sitting.agent, self._exchange.chunk)

    def start(self) -> None:
        self._feeds.listen(self._exchange.chunk, self)

    def stop(self) -> None:
        """Harmless when it did not start."""
        self._feeds.leave(self._exchange.chunk, self)

    def hear(self, item: Static | FeedDelta) -> None:
        """What the feed says. Called in the middle of its fan-out."""
        if isinstance(item, Static):
            if item.chunk == self._exchange.chunk:
                self._whereabouts.see_static(item)
                self._show(item.data)
        elif item.delta.chunk == self._exchange.chunk:
            self._show(item.delta.data)
            crossing = self._crossings.of(item, self._exchange.sitting.agent)
            if crossing is not None:
                self._follow(self._whereabouts.see_crossing(crossing))

    def hear_result(self, line: ResultLine) -> None:
        self._whereabouts.see_result(line)

    def hear_attached(self, attached: Attached) -> None:
        """A shard's answer to the question where the agent is."""
        self._follow(self._whereabouts.see_attached(attached))

    def look(self) -> bool:
        """Called now and then: True when a shard should be asked where the agent is."""
        return self._whereabouts.look()

    def _show(self, data: bytes) -> None:
        if Scope.OBSERVE in self._exchange.sitting.scopes:
            self._outbox.put(data)

    def _follow(self, where: ChunkId | Gone | None) -> None:
        if isinstance(where, Gone):
            self._end()
        elif where is not None:
            self.stop()
            self._exchange.chunk = where
            self.start()
