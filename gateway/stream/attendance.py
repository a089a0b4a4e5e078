"""One spectator that is told everything by a task of its own, from its own queue.

So it is with all of them at first: what they missed differs, and so does the moment at which they
came. Who has been told everything may be ``settled`` with others who have; TLS, HTTP/2 and the
WebSocket never are. The caller closes the stream, for whatever reason it ended.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import attrs
import trio

from common.limits import HEARTBEAT_SECONDS, OPENING_SECONDS_MAX, SPECTATOR_TAKE_MAX
from gateway.metrics import SPECTATOR_EVENTS
from gateway.stream.feeds import FeedDelta, Feeds, Static
from gateway.stream.pens import Pen
from gateway.stream.portions import in_portions
from gateway.stream.reader import FeedReader
from gateway.stream.telling import Line, Telling
from gateway.stream.view import View


@attrs.define(eq=False)
class Attendance:
    view: View
    reader: FeedReader
    telling: Telling
    _pen: Pen
    _feeds: Feeds
    _has_vanished: Callable[[], bool]
    beat_at: float = attrs.field(
        factory=lambda: trio.current_time() + HEARTBEAT_SECONDS, kw_only=True
    )

    async def begin(self) -> None:
        """Say everything up to the first static of each chunk; whose shard is down comes later."""
        await self._bounded(self._pen.open())
        for chunk in self.view.chunks:
            self._feeds.listen(chunk, self.reader)
        ready = [self.telling.ready()]
        if self.reader.unheard:
            await self._put(ready)
            ready = []
            with trio.move_on_after(OPENING_SECONDS_MAX):
                await self.reader.wait_opened()
        first = self.telling.in_order(self.reader.take())
        self.beat_at = trio.current_time() + HEARTBEAT_SECONDS
        await self._tell(first, ready)

    async def begin_anew(self) -> None:
        """Go on with one who was too slow, and hears nothing at the moment: ``telling`` is old."""
        for chunk in self.view.chunks:
            self._feeds.follow(chunk, self.reader)
        await self._put(self._all_anew())

    async def go_on(self, is_settled: Callable[[], bool]) -> None:
        """Tell whatever is heard, until the reader's end or ``is_settled`` with nothing queued."""
        while self.reader.ending is None:
            if trio.current_time() >= self.beat_at:
                if self._has_vanished():
                    self.reader.give_up()
                await self._bounded(self._pen.beat())
                self.beat_at = trio.current_time() + HEARTBEAT_SECONDS
            if self._is_caught_up and is_settled():
                return
            with trio.move_on_at(self.beat_at):
                await self.reader.wait()
            await self._tell_next()

    def leave(self) -> None:
        """Hear no more; harmless when it did not begin."""
        for chunk in self.view.chunks:
            self._feeds.leave(chunk, self.reader)

    @property
    def _is_caught_up(self) -> bool:
        return self.reader.is_empty and self.telling.has_begun

    async def _tell_next(self) -> None:
        if not self.reader.is_slow:
            await self._tell(self.reader.take(SPECTATOR_TAKE_MAX))
            return
        # No await in between: what is heard from now on follows exactly what is shown.
        self.reader.begin_anew()
        await self._put(self._all_anew())

    def _all_anew(self) -> list[Line]:
        known = [self._feeds.show(chunk) for chunk in self.view.chunks]
        return self.telling.all_anew([static for static in known if static is not None])

    async def _tell(self, items: Sequence[Static | FeedDelta], lines: Sequence[Line] = ()) -> None:
        """Tell ``lines`` and then ``items``: together, but what one chunk's replay is, by itself.

        That can be a megabyte: it goes before the next chunk's is read.
        """
        told = list(lines)
        for item in items:
            told += await self.telling.tell(item)
            if len(told) > SPECTATOR_TAKE_MAX:
                await self._put(told)
                told = []
        await self._put(told)

    async def _put(self, lines: Sequence[Line]) -> None:
        for some in in_portions(lines):
            if self.reader.ending is not None:
                return  # Its ids say how far it came.
            await self._bounded(self._pen.write(some))
            SPECTATOR_EVENTS.inc(len(some))

    async def _bounded(self, write: Awaitable[None]) -> None:
        """Wait for ``write``, which is small; a client that does not take it in time has gone."""
        try:
            await write
        except trio.TooSlowError:
            self.reader.give_up()
            await trio.lowlevel.checkpoint_if_cancelled()
