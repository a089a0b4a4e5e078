"""Emissions on their way, in order.

``put`` never waits, so that whoever has just changed a chunk can say so in the same breath. The
bound is kept by those who make new work: they call ``wait_room`` first, and while there is none
the chunks' time stands still. Who only passes on what is in flight already need not ask.
"""

from __future__ import annotations

from collections import deque

import attrs
import trio

from shard.emission import Emission


@attrs.define(eq=False)
class Outbox:
    size: int
    """Emissions; beyond it ``wait_room`` waits."""
    _waiting: deque[Emission] = attrs.field(factory=deque, init=False)
    _closed: bool = attrs.field(default=False, init=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        return len(self._waiting) >= self.size

    def put(self, emission: Emission) -> None:
        """Add at the end; once closed, forget it: all that could come now is asked for again."""
        if not self._closed:
            self._waiting.append(emission)
            if len(self._waiting) == 1:  # Else whoever takes knows that there are some.
                self._stir()

    def close(self) -> None:
        """No more will come: ``take`` hands out what is left and then nothing."""
        self._closed = True
        self._stir()

    async def wait_room(self) -> None:
        while self.is_full:
            await self._changed.wait()

    async def take(self, count: int) -> list[Emission]:
        """Wait for some, and return up to ``count``; none only when it is closed and empty."""
        while not self._waiting and not self._closed:
            await self._changed.wait()
        # All chunks tick at the same moment: let them finish, and they share one call. And it
        # is here that we learn of a lease that ran out while the process was stopped.
        await trio.lowlevel.checkpoint()
        taken = [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]
        self._stir()
        return taken

    def _stir(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
