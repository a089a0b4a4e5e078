"""The spectators' endpoints, plain ASGI: ``/v1/spectate`` (SSE) and ``/v1/spectate/ws``.

Watching changes nothing: nothing that a spectator sends is ever looked at. An event stream over
plain HTTP/1.1 leaves Hypercorn here and goes on as a ``gateway.stream.member``; others keep their
tasks in it, one that writes and one that notices the client's going. ``Spectators.run`` ends what
is overdue, and all streams when the gateway stops.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import attrs
import trio
from hypercorn.typing import (
    ASGIReceiveCallable,
    ASGISendCallable,
    ASGISendEvent,
    HTTPScope,
    WebsocketScope,
)

from common.limits import (
    GOODBYE_SECONDS_MAX,
    GRACE_SECONDS,
    RETRY_AFTER_MS,
    STILL_SECONDS_MAX,
    STREAMS_ENDED_SECONDS,
    SWEEP_SECONDS,
)
from common.refusals import CloseCode
from common.settings import Settings
from common.wire import Fault
from gateway import access_log
from gateway.address import client_address
from gateway.connection import Connection, connection_of
from gateway.endings import end_each
from gateway.http.problems import Problem
from gateway.http.tracing import trace_id_for
from gateway.metrics import SPECTATORS, SPECTATORS_SENT_AWAY
from gateway.ports import Bus
from gateway.refuse import answer_options, refuse
from gateway.stream.attendance import Attendance
from gateway.stream.audience import Block
from gateway.stream.backlog import Backlog
from gateway.stream.fanout import FanOut
from gateway.stream.feeds import Feeds
from gateway.stream.member import SECONDS_TO_CLOSE, House, Member
from gateway.stream.pens import EventStream, Frames, Pen
from gateway.stream.reader import Ending, FeedReader, Reader
from gateway.stream.request import has_body, header, invalid
from gateway.stream.seats import Full, Seats
from gateway.stream.telling import Telling
from gateway.stream.view import View, read_view
from gateway.takeover import Takeover, make_takeover

_FULL: dict[Full, Problem] = {
    "address": Problem(
        "rate_limited", "Too many streams from this address; close one first.", 5 * RETRY_AFTER_MS
    ),
    "gateway": Problem("unavailable", "This gateway has no seat left.", 5 * RETRY_AFTER_MS),
}


@attrs.define(eq=False)
class Spectators:
    _feeds: Feeds
    _bus: Bus
    _settings: Settings
    _stop: trio.Event
    _takeover: Takeover | None = attrs.field(factory=make_takeover)
    _seats: Seats = attrs.field(init=False)
    _readers: set[FeedReader | Reader[Block]] = attrs.field(factory=set, init=False)
    _backlog: Backlog = attrs.field(init=False)
    _fan_out: FanOut = attrs.field(init=False)
    _house: House | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._seats = Seats(self._settings.spectators_per_address, self._settings.spectators_max)
        self._backlog = Backlog(self._bus)
        self._fan_out = FanOut(self._feeds, self._backlog)

    @property
    def count(self) -> int:
        return self._seats.taken

    async def run(self) -> None:
        """Until the gateway stops, look after all; then end all streams: clients move over."""
        try:
            async with trio.open_nursery() as serving:
                serving.start_soon(self._sweep)
                serving.start_soon(self._fan_out.run)
                if self._takeover is not None:
                    serving.start_soon(self._takeover.run)
                await self._serve_members()
                serving.cancel_scope.cancel()
        finally:
            for member in self._fan_out.members():  # None, unless this was cancelled.
                member.lose()

    async def _serve_members(self) -> None:
        async with trio.open_nursery() as members:
            self._house = House(
                self._feeds, self._backlog, self._fan_out, members, self._readers, self._stop
            )
            await self._stop.wait()
            members.cancel_scope.deadline = trio.current_time() + GRACE_SECONDS
            await self._end_all()
        if self._takeover is not None:
            with trio.move_on_at(members.cancel_scope.deadline):
                await self._takeover.wait_idle()

    async def _end_all(self) -> None:
        """One after the other: all their clients come to another gateway at the same moment."""
        await end_each(self._ends(), _stop, STREAMS_ENDED_SECONDS)
        for end_latecomer in self._ends():  # Above all of who joined others before its turn.
            _stop(end_latecomer)

    def _ends(self) -> list[Callable[[Ending], None]]:
        """How to end each: those with a task of their own, and those who are told with others."""
        readers, members = self._readers, self._fan_out.members()
        return [*(reader.end for reader in readers), *(member.end for member in members)]

    async def _sweep(self) -> None:
        """Cut off who was told to go and does not read that: from outside, its write is stuck."""
        while True:
            await trio.sleep(SWEEP_SECONDS)
            for reader in tuple(self._readers):
                if reader.leave_by < trio.current_time():
                    reader.give_up()

    async def events(
        self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Serve ``/v1/spectate``, whatever the method."""
        trace_id = trace_id_for(header(scope, b"traceparent"))
        if scope["method"] == "OPTIONS":
            await answer_options(receive, send, "GET, OPTIONS", trace_id)
            return
        if scope["method"] != "GET":
            problem = Problem("method_not_allowed", "Watching is read-only: GET.")
            await refuse(scope, receive, send, problem, trace_id, {"Allow": "GET, OPTIONS"})
            return
        view = self._admit(scope, header(scope, b"last-event-id"))
        if isinstance(view, Problem):
            await refuse(scope, receive, send, view, trace_id)
            return
        if self._take_over(view, trace_id, scope):
            return
        with self._seats.seat(self._address(scope)):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
                await self._stream(view, EventStream(_bounded(send), trace_id), scope)
                nursery.cancel_scope.cancel()

    async def frames(
        self, scope: WebsocketScope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Serve ``/v1/spectate/ws``."""
        await receive()  # websocket.connect
        trace_id = trace_id_for(header(scope, b"traceparent"))
        access_log.note_trace(scope, trace_id)
        view = self._admit(scope, "")
        if isinstance(view, Problem):
            await refuse(scope, receive, send, view, trace_id)
            return
        with self._seats.seat(self._address(scope)):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_spoken, receive, send, nursery.cancel_scope)
                await self._stream(view, Frames(_bounded(send), trace_id), scope)
                nursery.cancel_scope.cancel()

    def _admit(self, scope: HTTPScope | WebsocketScope, last_event_id: str) -> View | Problem:
        if has_body(scope):
            return invalid((Fault("$", "watching takes no body"),))
        view = read_view(scope["query_string"], last_event_id)
        if not isinstance(view, View):
            return invalid(view)
        if self._stop.is_set():
            return Problem("unavailable", "This gateway is stopping; ask again.", RETRY_AFTER_MS)
        full = self._seats.full(self._address(scope))
        return view if full is None else _FULL[full]

    def _address(self, scope: HTTPScope | WebsocketScope) -> str:
        return client_address(scope, self._settings.trusted_proxies)

    def _take_over(self, view: View, trace_id: str, scope: HTTPScope) -> bool:
        """Whether the stream goes on without Hypercorn, and this endpoint is to return at once."""
        answer = self._takeover.take(scope) if self._takeover is not None else None
        if answer is None:
            return False
        assert self._house is not None, "streams are served while run() does"
        address = self._address(scope)
        self._seats.take(address)
        pen = EventStream(answer.send, trace_id)
        ended = partial(self._note_end, address, trace_id, trio.current_time())
        Member(self._house, view.chunks, answer.connection, pen, ended).start(view)
        return True

    def _note_end(self, address: str, trace_id: str, began: float) -> None:
        self._seats.leave(address)
        access_log.note("GET", "/v1/spectate", status=200, began=began, trace_id=trace_id)

    async def _stream(self, view: View, pen: Pen, scope: HTTPScope | WebsocketScope) -> None:
        """Listen to every chunk of ``view`` and write until it ends, for whatever reason."""
        writing, connection = trio.CancelScope(), connection_of(scope)

        def send_away() -> None:
            writing.cancel()
            if connection is not None:
                connection.abort()

        if connection is not None:
            connection.be_patient()
        reader = FeedReader(send_away, set(view.chunks))
        self._readers.add(reader)
        try:
            with writing:
                await self._attend(view, reader, pen, connection)
                ending = reader.ending or Ending.STOPPING
                with trio.move_on_after(SECONDS_TO_CLOSE[ending]):
                    await pen.close(ending)
        finally:
            self._readers.discard(reader)
            if reader.ending is Ending.TOO_SLOW:
                SPECTATORS_SENT_AWAY.inc()

    async def _attend(
        self, view: View, reader: FeedReader, pen: Pen, connection: Connection | None
    ) -> None:
        attendance = Attendance(
            view,
            reader,
            Telling(view, self._backlog, self._feeds.show),
            pen,
            self._feeds,
            lambda: connection is not None and connection.has_vanished,
        )
        with SPECTATORS.track_inprogress():
            try:
                await attendance.begin()
                await attendance.go_on(lambda: False)
            finally:
                attendance.leave()


def _stop(end: Callable[[Ending], None]) -> None:
    end(Ending.STOPPING)


def _bounded(send: ASGISendCallable) -> ASGISendCallable:
    """Every write is small: TooSlowError from a client that does not take one in time.

    (On HTTP/1 Hypercorn shields its writes: there ``gateway.connection`` keeps the deadline.)
    """

    async def send_in_time(event: ASGISendEvent) -> None:
        with trio.move_on_after(STILL_SECONDS_MAX):
            await send(event)
            return
        raise trio.TooSlowError

    return send_in_time


async def _until_gone(receive: ASGIReceiveCallable, stream: trio.CancelScope) -> None:
    """Cancel ``stream`` once the client has gone, or sends a body after all (HTTP/2 can)."""
    while True:
        message = await receive()
        if message["type"] != "http.request" or message["body"]:
            stream.cancel()
            return


async def _until_spoken(
    receive: ASGIReceiveCallable, send: ASGISendCallable, stream: trio.CancelScope
) -> None:
    """Cancel ``stream`` once the client has gone, or says anything: that ends with 1008."""
    message = await receive()
    if message["type"] == "websocket.receive":
        with trio.move_on_after(GOODBYE_SECONDS_MAX):
            code = int(CloseCode.POLICY)
            await send({"type": "websocket.close", "code": code, "reason": "read_only"})
    stream.cancel()
