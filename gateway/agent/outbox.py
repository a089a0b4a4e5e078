"""The frames that wait for one client, and the last words to it.

It encodes nothing but these, and writes nowhere. The bound is AGENT_QUEUE_MAX; the policy beyond
it: drop them all and close with 4008, since the client can resume and loses no line. A write that
is stuck is ended from outside.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs
import trio

from common import wire
from common.frames import Goodbye
from common.limits import AGENT_QUEUE_MAX
from common.refusals import CloseCode
from gateway.metrics import DROPPED


@attrs.frozen
class Ending:
    code: CloseCode
    reason: str

    @property
    def goodbye(self) -> bytes:
        return wire.encode(Goodbye(int(self.code), self.reason, self.code.resume))


def _nobody() -> None:
    pass


@attrs.define(eq=False)
class Outbox:
    changed: Callable[[], None] = attrs.field(default=_nobody, init=False)
    """Called, and must not wait, when there is something to take, or the ending has come."""
    ending: Ending | None = attrs.field(default=None, init=False)
    """Set once nothing more is put."""
    _frames: deque[bytes] = attrs.field(factory=deque, init=False)
    _room: trio.Event | None = attrs.field(default=None, init=False)

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: bytes) -> None:
        """``frame`` is JSON; the same object may be in many outboxes."""
        if self.ending is not None:
            return
        if len(self._frames) >= AGENT_QUEUE_MAX:
            DROPPED.labels("agent_frames").inc(len(self._frames) + 1)
            self._frames.clear()
            self.end(CloseCode.TOO_SLOW, f"more than {AGENT_QUEUE_MAX} frames were waiting")
        else:
            self._frames.append(frame)
            self.changed()

    def end(self, code: CloseCode, reason: str) -> None:
        """Close once what waits is written. The first reason counts."""
        if self.ending is None:
            self.ending = Ending(code, reason)
            self._make_room()
            self.changed()

    def take(self, size_max: int) -> list[bytes]:
        """Return the first that wait, of ``size_max`` bytes together, but one at least if any."""
        taken: list[bytes] = []
        size = 0
        while self._frames and (not taken or size + len(self._frames[0]) <= size_max):
            taken.append(self._frames.popleft())
            size += len(taken[-1])
        if taken:
            self._make_room()
        return taken

    async def wait_room(self, count: int = 1) -> None:
        """Return once ``count`` frames can be put without an overflow, or none can any more."""
        while len(self._frames) + count > AGENT_QUEUE_MAX and self.ending is None:
            if self._room is None:
                self._room = trio.Event()
            await self._room.wait()

    def _make_room(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None
