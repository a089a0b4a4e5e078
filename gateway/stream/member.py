"""One event stream on a plain connection, from its first byte to its last.

It has a task while it is told what others know already, and while its socket is full; in between
it is nothing but a member of an audience, and ``gateway.stream.fanout`` writes to it. It decides
nothing about what is told.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

import attrs
import structlog
import trio

from common.grid import ChunkId
from common.limits import (
    FAREWELL_SECONDS_MAX,
    GOODBYE_SECONDS_MAX,
    HEARTBEAT_SECONDS,
    SPECTATOR_TAKE_MAX,
)
from gateway.metrics import SPECTATOR_EVENTS, SPECTATORS, SPECTATORS_SENT_AWAY
from gateway.plain import PlainConnection
from gateway.stream.attendance import Attendance
from gateway.stream.audience import GONE, Audience, Block
from gateway.stream.backlog import Backlog
from gateway.stream.fanout import FanOut
from gateway.stream.feeds import Feeds
from gateway.stream.overflow import Overflows
from gateway.stream.pens import Pen
from gateway.stream.portions import in_portions
from gateway.stream.position import Position
from gateway.stream.reader import Ending, FeedReader, Reader
from gateway.stream.telling import Telling
from gateway.stream.view import View

_log = structlog.get_logger(__name__)

SECONDS_TO_CLOSE = {
    Ending.STOPPING: GOODBYE_SECONDS_MAX,
    Ending.OVERLOADED: GOODBYE_SECONDS_MAX,
    Ending.TOO_SLOW: FAREWELL_SECONDS_MAX,  # At most: ``Spectators`` counts from when it was told.
}


@attrs.frozen(eq=False)
class House:
    """What all members share. ``readers`` are those with a task: a write of theirs may be stuck."""

    feeds: Feeds
    backlog: Backlog
    fan_out: FanOut
    nursery: trio.Nursery
    readers: set[FeedReader | Reader[Block]]
    stop: trio.Event


@attrs.define(eq=False)
class Member:
    """``start`` it once. ``ended`` is called once, when it has been told all that it will be."""

    _house: House
    _chunks: tuple[ChunkId, ...]
    _connection: PlainConnection
    _pen: Pen
    _ended: Callable[[], None]
    send: Callable[[bytes], int] = attrs.field(init=False)
    since: float = attrs.field(default=GONE, init=False)
    behind: Reader[Block] | None = attrs.field(default=None, init=False)
    _audience: Audience | None = attrs.field(default=None, init=False)
    _overflows: Overflows = attrs.field(default=Overflows(), init=False)
    _task: trio.CancelScope | None = attrs.field(default=None, init=False)
    """Without one it is the audience's alone."""
    _ending: Ending | None = attrs.field(default=None, init=False)
    _is_over: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.send = self._connection.send

    def start(self, view: View) -> None:
        SPECTATORS.inc()
        self._connection.watch(self.lose)
        self._do(partial(self._open, view))

    def fall_behind(self, position: Position, rest: bytes) -> None:
        self.behind = Reader[Block](self.give_up, set(), self._overflows)
        self._do(partial(self._catch_up, self.behind, position, rest))

    def lose(self) -> None:
        if self._task is None:
            self._finish()
        else:
            self._task.cancel()

    def end(self, ending: Ending) -> None:
        """Soon, with our last words; for one that has an audience."""
        if self._audience is not None:
            if self.behind is None:
                self.fall_behind(self._audience.position, b"")
            assert self.behind is not None
            self.behind.end(ending)

    @property
    def has_vanished(self) -> bool:
        return self._connection.has_vanished

    def give_up(self) -> None:
        """End at once: the client takes nothing."""
        self._ending = Ending.TOO_SLOW
        self._connection.abort()
        self.lose()

    # Its task

    def _do(self, act: Callable[[], Awaitable[None]]) -> None:
        self._task = trio.CancelScope()
        self._house.nursery.start_soon(self._run, self._task, act)

    async def _run(self, task: trio.CancelScope, act: Callable[[], Awaitable[None]]) -> None:
        """Until it has joined an audience, or is over."""
        try:
            with task:
                await act()
        except trio.BrokenResourceError:
            pass
        except trio.TooSlowError:
            self.give_up()
        except Exception as error:  # noqa: BLE001 - a bug that one stream hits ends that stream.
            _log.error("a stream failed", error=repr(error), exc_info=True)
        finally:
            self._task = None
            if self._audience is None or self.behind is not None:
                self._connection.abort()  # Unless it is being seen off: half a chunk may be out.
                self._finish()

    async def _open(self, view: View) -> None:
        reader = FeedReader(self.give_up, set(view.chunks))
        attendance = self._attendance(view, reader, self._telling(view))
        await self._attend(attendance, attendance.begin)

    def _telling(self, view: View) -> Telling:
        return Telling(view, self._house.backlog, self._house.feeds.show)

    async def _catch_up(self, reader: Reader[Block], position: Position, rest: bytes) -> None:
        """Write ``rest``, then what came meanwhile, until nothing is left or it begins anew."""
        assert self._audience is not None
        beat_at = self._audience.beat_at
        with self._known(reader):
            await self._connection.send_all(rest)
            while not (reader.is_empty or reader.is_slow or reader.ending):
                for some in in_portions(reader.take(SPECTATOR_TAKE_MAX)):
                    if reader.ending is None:
                        await self._connection.send_all(b"".join([block.data for block in some]))
                        SPECTATOR_EVENTS.inc(sum(block.events for block in some))
                        position = some[-1].position
                if trio.current_time() >= beat_at:
                    await self._pen.beat()
                    beat_at = trio.current_time() + HEARTBEAT_SECONDS
        # No await from here on: what is heard now would be lost.
        self._overflows = reader.overflows
        if reader.ending is not None:
            await self._close(reader.ending)
        elif reader.is_slow:
            await self._begin_anew(position, beat_at)
        else:
            self.behind = None

    async def _begin_anew(self, position: Position, beat_at: float) -> None:
        self._leave()
        self.behind = None
        telling = Telling.going_on(self._chunks, self._house.backlog, position)
        reader = FeedReader(self.give_up, set(), self._overflows)
        attendance = self._attendance(View(self._chunks), reader, telling)
        attendance.beat_at = beat_at
        await self._attend(attendance, attendance.begin_anew)

    def _attendance(self, view: View, reader: FeedReader, telling: Telling) -> Attendance:
        return Attendance(
            view, reader, telling, self._pen, self._house.feeds, lambda: self.has_vanished
        )

    async def _attend(self, attendance: Attendance, begin: Callable[[], Awaitable[None]]) -> None:
        reader = attendance.reader
        with self._known(reader):
            try:
                await begin()
                await attendance.go_on(partial(self._join, attendance))
            finally:
                attendance.leave()  # In the step in which it joined: nothing comes twice.
        self._overflows = reader.overflows
        if reader.ending is not None:
            await self._close(reader.ending)

    def _join(self, attendance: Attendance) -> bool:
        """Whether it is told on with others, and needs no task any more."""
        position = attendance.telling.position
        fan_out, beat_at = self._house.fan_out, attendance.beat_at
        self._audience = fan_out.join(self, self._chunks, position, beat_at)
        return self._audience is not None

    def _leave(self) -> None:
        if self._audience is not None:
            self._house.fan_out.leave(self, self._audience)
            self._audience = None

    @contextmanager
    def _known(self, reader: FeedReader | Reader[Block]) -> Iterator[None]:
        """Let it be ended from outside."""
        self._house.readers.add(reader)
        if self._house.stop.is_set():
            reader.end(Ending.STOPPING)
        try:
            yield
        finally:
            self._house.readers.discard(reader)

    async def _close(self, ending: Ending) -> None:
        self._ending = ending
        with trio.move_on_after(SECONDS_TO_CLOSE[ending]):
            await self._pen.close(ending)
            self._connection.see_off(FAREWELL_SECONDS_MAX)

    def _finish(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._leave()
        self._connection.close()
        SPECTATORS.dec()
        if self._ending is Ending.TOO_SLOW:
            SPECTATORS_SENT_AWAY.inc()
        self._ended()
