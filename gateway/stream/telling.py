"""What one spectator is told, line by line: from what its queue holds to events with their ids.

It writes to no connection. The promise of section 3 of the protocol is kept here: a chunk begins
with its static or goes on where the client's id says, every later Static is announced by a
``resync``, and an id names what has been told up to its own line and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import attrs
import trio

from common import wire
from common.bus import Delta
from common.errors import Trouble
from common.frames import Resync, SpectatorReady
from common.grid import ChunkId
from common.limits import (
    AHEAD_LOOK_SECONDS,
    AHEAD_SECONDS_MAX,
    AHEAD_TICKS_MAX,
    READY_LINES_MAX,
    REDIS_SECONDS_MAX,
    TICK_HZ,
)
from common.refusals import ResyncReason
from gateway.metrics import SPECTATOR_RESYNCS
from gateway.stream import position, replay
from gateway.stream.backlog import Backlog
from gateway.stream.follow import FeedDelta, Static
from gateway.stream.position import Mark, Position
from gateway.stream.view import View

PROTOCOL = 1


@attrs.frozen
class Line:
    """One event, however it is written; ``data`` is JSON in one line."""

    event: str
    data: bytes
    id: str | None = None


def _nothing(_: ChunkId) -> None:
    return None


@attrs.define(eq=False)
class Telling:
    """``show`` returns the static of this moment, if it is known; see ``Feeds.show``."""

    _view: View
    _backlog: Backlog
    _show: Callable[[ChunkId], Static | None] = _nothing
    _sent: dict[ChunkId, Mark] = attrs.field(init=False)
    _begun: set[ChunkId] = attrs.field(factory=set, init=False)
    """Chunks that this connection was shown: a Static of one of these is a resync."""

    def __attrs_post_init__(self) -> None:
        # Until a chunk's turn comes, what was sent of it by the connection before still counts.
        self._sent = dict(self._view.position or {})

    @classmethod
    def going_on(cls, chunks: tuple[ChunkId, ...], backlog: Backlog, position: Position) -> Telling:
        """Tell on what somebody was told up to ``position``, which has all of ``chunks``."""
        telling = cls(View(chunks, position=position), backlog)
        telling._begun = set(chunks)
        return telling

    @property
    def position(self) -> Position:
        """How far it has told; a copy."""
        return dict(self._sent)

    @property
    def has_begun(self) -> bool:
        """Whether every chunk was shown: then no item has to be waited for, see ``tell_on``."""
        return len(self._begun) == len(self._view.chunks)

    def ready(self) -> Line:
        return _ready(self._view.chunks, self._view.came_back)

    def in_order(self, items: Iterable[Static | FeedDelta]) -> list[Static | FeedDelta]:
        """Return the first things heard as the view lists its chunks, statics before deltas."""
        turns = {chunk: turn for turn, chunk in enumerate(self._view.chunks)}
        last = len(turns)
        return sorted(items, key=lambda i: turns[i.chunk] if isinstance(i, Static) else last)

    async def tell(self, item: Static | FeedDelta) -> list[Line]:
        if isinstance(item, Static) and item.chunk not in self._begun:
            self._begun.add(item.chunk)
            return await self._begin(item)
        return self.tell_on(item)

    def tell_on(self, item: Static | FeedDelta) -> list[Line]:
        """Tell an item of a chunk that has begun."""
        if isinstance(item, FeedDelta):
            return self._deltas(item.delta.chunk, [item.delta])
        return [_resync("out_of_range", item.chunk), self._static(item)]

    def all_anew(self, shown: Sequence[Static]) -> list[Line]:
        """Tell a slow client everything as it is now; what is not in ``shown`` follows later."""
        self._begun = {static.chunk for static in shown}
        self._view = attrs.evolve(self._view, came_back=False, position={})
        return [_resync("slow"), *(self._static(static) for static in shown)]

    async def _begin(self, static: Static) -> list[Line]:
        if not self._view.came_back:
            return [self._static(static)]
        if self._view.position is None:
            return [_resync("out_of_range", static.chunk), self._static(static)]
        mark = self._view.position.get(static.chunk)
        if mark is None:
            return [self._static(static)]
        return await self._go_on(mark, static)

    async def _go_on(self, mark: Mark, static: Static) -> list[Line]:
        """Tell what came after ``mark``; if nobody can say, the chunk anew, as it is then.

        Another gateway may have heard more than this one has yet. Ticks never go back: so a client
        that is a little ahead waits for us, and one that is far ahead never was told that by us.
        """
        until = trio.current_time() + AHEAD_SECONDS_MAX
        while (deltas := await self._missed(mark, static)) is None:
            is_near = 0 < mark.tick - static.tick <= AHEAD_TICKS_MAX
            if not is_near or trio.current_time() >= until:
                return [_resync("out_of_range", static.chunk), self._static(static)]
            await trio.sleep(AHEAD_LOOK_SECONDS)
            static = self._show(static.chunk) or static
        return self._deltas(static.chunk, deltas)

    async def _missed(self, mark: Mark, static: Static) -> Sequence[Delta] | None:
        tick = replay.read_from(mark, static)
        if tick is None or mark.tick == static.tick:
            return None if tick is None else ()
        try:
            with trio.fail_after(REDIS_SECONDS_MAX):
                until = max(mark.tick, static.tick)
                deltas = await self._backlog.deltas(static.chunk, tick, until)
        except (Trouble, trio.TooSlowError):
            return None  # Then it can't be said what was missed, and the client is told so.
        return replay.missed(mark, static, deltas)

    def _static(self, static: Static) -> Line:
        self._sent[static.chunk] = Mark(static.generation, static.tick)
        return Line("chunk_static", static.data, position.encode(self._sent))

    def _deltas(self, chunk: ChunkId, deltas: Iterable[Delta]) -> list[Line]:
        """Tell those, in order, that no replay and no static has told already."""
        mark = self._sent[chunk]
        new = [delta for delta in deltas if delta.tick > mark.tick]
        if not new:
            return []
        ids = position.ids_of(self._sent, chunk, [delta.tick for delta in new])
        lines = [Line("chunk_delta", delta.data, id) for delta, id in zip(new, ids, strict=True)]
        self._sent[chunk] = Mark(mark.generation, new[-1].tick)
        return lines


@lru_cache(READY_LINES_MAX)  # Crowds watch the same.
def _ready(chunks: tuple[ChunkId, ...], resumed: bool) -> Line:
    frame = SpectatorReady(PROTOCOL, list(chunks), TICK_HZ, resumed=resumed)
    return Line("session_ready", wire.encode(frame))


def _resync(reason: ResyncReason, chunk: ChunkId | None = None) -> Line:
    SPECTATOR_RESYNCS.labels(reason).inc()
    return Line("resync", wire.encode(Resync(reason, chunk)))
