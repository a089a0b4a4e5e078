"""The frames that wait for one client, and the last words to it.

It encodes nothing. The bound is AGENT_QUEUE_MAX; the policy beyond it: drop them all and close
with 4008, since the client can resume and loses no line. A write that is stuck is ended by
``gateway.connection``, from outside.
"""

from __future__ import annotations

from collections import deque

import attrs
import trio
from hypercorn.typing import ASGISendCallable

from common import wire
from common.frames import Goodbye
from common.limits import AGENT_QUEUE_MAX
from common.refusals import CloseCode


@attrs.frozen
class Ending:
    code: CloseCode
    reason: str

    @property
    def goodbye(self) -> str:
        return wire.encode(Goodbye(int(self.code), self.reason, self.code.resume)).decode()


@attrs.define(eq=False)
class Outbox:
    ending: Ending | None = attrs.field(default=None, init=False)
    """Set once nothing more is taken."""
    _frames: deque[str] = attrs.field(factory=deque, init=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)

    def put(self, frame: str) -> None:
        if self.ending is not None:
            return
        if len(self._frames) >= AGENT_QUEUE_MAX:
            self._frames.clear()
            self.end(CloseCode.TOO_SLOW, f"more than {AGENT_QUEUE_MAX} frames were waiting")
        else:
            self._frames.append(frame)
        self._changed.set()

    def end(self, code: CloseCode, reason: str) -> None:
        """Close once what waits is written. The first reason counts."""
        if self.ending is None:
            self.ending = Ending(code, reason)
            self._changed.set()

    async def wait_room(self, count: int = 1) -> None:
        """Return once ``count`` frames can be put without an overflow, or none can any more."""
        while len(self._frames) + count > AGENT_QUEUE_MAX and self.ending is None:
            await self._wait()

    async def write(self, send: ASGISendCallable) -> Ending:
        """Write all that is put, until the end; then goodbye, and close."""
        while True:
            while self._frames:
                frame = self._frames.popleft()
                await _send(send, frame)
                self._changed.set()
            if self.ending is not None:
                break
            await self._wait()
        await _send(send, self.ending.goodbye)
        code, reason = int(self.ending.code), self.ending.reason
        await send({"type": "websocket.close", "code": code, "reason": reason})
        return self.ending

    async def _wait(self) -> None:
        self._changed = trio.Event()
        await self._changed.wait()


async def _send(send: ASGISendCallable, frame: str) -> None:
    await send({"type": "websocket.send", "bytes": None, "text": frame})
