"""What waits to be decided: messages of the slot's stream, of this shard to itself, and held ones.

It decides nothing. Two promises: the stream is forgotten only up to the first message that is
not yet dealt with, also while that one is held; and a shard's messages to itself, which no
stream remembers, are only such as are repeated until they are dealt with.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import attrs
import trio

from common.bus import Received
from common.envelopes import ToShard
from common.grid import ChunkId
from common.limits import HELD_MAX, INNER_MAX, INTAKE_BATCH_MAX
from shard import metrics

WITHIN = ""
"""The position of a message that came from no stream."""


@attrs.define(eq=False)
class Inbox:
    _stream: deque[Received] = attrs.field(factory=deque, init=False)
    _inner: deque[Received] = attrs.field(factory=deque, init=False)
    _held: dict[ChunkId, list[Received]] = attrs.field(factory=dict, init=False)
    _open: dict[str, bool] = attrs.field(factory=dict, init=False)
    """Positions in order of the stream -> whether that message is dealt with."""
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __len__(self) -> int:
        return len(self._stream) + len(self._inner)

    # In

    def receive(self, batch: Iterable[Received]) -> None:
        """Add what the stream had next."""
        for received in batch:
            self._open[received.position] = False
            self._stream.append(received)
        self._stir()

    async def wait_room(self) -> None:
        """Wait until less than a batch waits: what is not read yet, Redis keeps for us."""
        while len(self._stream) >= INTAKE_BATCH_MAX:
            await self._changed.wait()

    def tell(self, message: ToShard) -> None:
        """Add a message of our own; beyond the bound it is dropped, and will be repeated."""
        if len(self._inner) < INNER_MAX:
            self._inner.append(Received(WITHIN, message))
            self._stir()
        else:
            metrics.DROPPED.labels("inner").inc()

    # Out

    async def take(self) -> list[Received]:
        """Wait for messages and return up to INTAKE_BATCH_MAX, our own first."""
        while not len(self):
            await self._changed.wait()
        taken = [self._next() for _ in range(min(len(self), INTAKE_BATCH_MAX))]
        self._stir()
        return taken

    def _next(self) -> Received:
        return (self._inner or self._stream).popleft()

    # Held

    @property
    def held(self) -> int:
        return sum(len(waiting) for waiting in self._held.values())

    @property
    def may_hold(self) -> bool:
        return self.held < HELD_MAX

    def holds(self, chunk: ChunkId) -> bool:
        """Whether something is held for ``chunk``."""
        return chunk in self._held

    def hold(self, chunk: ChunkId, received: Received) -> None:
        """Keep ``received`` until ``release``; the stream keeps it as long, in case we die."""
        self._held.setdefault(chunk, []).append(received)

    def held_positions(self) -> frozenset[str]:
        return frozenset(one.position for held in self._held.values() for one in held)

    def release(self, chunk: ChunkId) -> None:
        """Have what was held for ``chunk`` decided again, before anything else."""
        if waiting := self._held.pop(chunk, None):
            self._inner.extendleft(reversed(waiting))
            self._stir()

    def release_all(self) -> None:
        """Have all that was held decided again."""
        for chunk in tuple(self._held):
            self.release(chunk)

    # Done

    def finish(self, positions: Iterable[str]) -> None:
        """Remember that the messages at ``positions`` are dealt with for good."""
        for position in positions:
            if position in self._open:
                self._open[position] = True

    def take_done(self) -> str | None:
        """Return the position up to which all is dealt with; None when there is no news."""
        upto = None
        for position in self._finished():
            upto = position
            del self._open[position]
        return upto

    def _finished(self) -> Sequence[str]:
        finished = []
        for position, is_done in self._open.items():
            if not is_done:
                break
            finished.append(position)
        return finished

    def _stir(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
