"""A spectator's queue: what its feeds said and its connection has not yet taken.

It writes nothing and encodes nothing. The bound is SPECTATOR_QUEUE_MAX; the policy beyond it: drop
what is queued, hear nothing until the connection has room again, then begin anew (``is_slow``).
Whoever lets that happen too often is told to go, and from ``leave_by`` on may be made to.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from collections.abc import Callable

import attrs
import trio

from common.grid import ChunkId
from common.limits import FAREWELL_SECONDS_MAX, SPECTATOR_QUEUE_MAX
from gateway.stream.follow import FeedDelta, Static
from gateway.stream.overflow import Overflows


class Ending(enum.Enum):
    """Why we end a stream."""

    STOPPING = "stopping"
    TOO_SLOW = "too_slow"


@attrs.define(eq=False)
class Reader:
    """A listener of each chunk of one view. ``send_away`` ends a connection that may be stuck."""

    _send_away: Callable[[], None]
    unheard: set[ChunkId]
    """Chunks whose first static has not come yet."""
    is_slow: bool = attrs.field(default=False, init=False)
    ending: Ending | None = attrs.field(default=None, init=False)
    leave_by: float = attrs.field(default=math.inf, init=False)
    """Until then a client that is too slow may read on, to the end."""
    _queue: deque[Static | FeedDelta] = attrs.field(factory=deque, init=False)
    _overflows: Overflows = attrs.field(factory=Overflows, init=False)
    _woken: trio.Event = attrs.field(factory=trio.Event, init=False)

    def hear(self, item: Static | FeedDelta) -> None:
        if self.is_slow or self.ending is not None:
            return
        if isinstance(item, Static):
            self.unheard.discard(item.chunk)
        if len(self._queue) < SPECTATOR_QUEUE_MAX:
            self._queue.append(item)
        else:
            self._overflow()
        self._woken.set()

    def take(self, count: int = SPECTATOR_QUEUE_MAX) -> list[Static | FeedDelta]:
        """Return the first ``count`` things that are queued, in order, and make room."""
        return [self._queue.popleft() for _ in range(min(count, len(self._queue)))]

    def begin_anew(self) -> None:
        """Hear again; the caller shows every chunk as it is at this moment."""
        self.is_slow = False

    def end(self, ending: Ending) -> None:
        self.ending = self.ending or ending
        self._woken.set()

    def give_up(self) -> None:
        """End at once, also in the middle of a write: the client takes nothing."""
        self.end(Ending.TOO_SLOW)
        self._send_away()

    async def wait(self) -> None:
        """Return once something is queued, or has to be done."""
        if not (self._queue or self.is_slow or self.ending):
            self._woken = trio.Event()
            await self._woken.wait()

    async def wait_opened(self) -> None:
        """Return once every chunk's first static has come, or something else has to be done."""
        while self.unheard and not (self.is_slow or self.ending):
            self._woken = trio.Event()
            await self._woken.wait()

    def _overflow(self) -> None:
        self._queue.clear()
        self.is_slow = True
        now = trio.current_time()
        self._overflows = self._overflows.again(now)
        if self._overflows.are_too_many:
            self.leave_by = now + FAREWELL_SECONDS_MAX
            self.end(Ending.TOO_SLOW)
