"""The spectators' endpoints, plain ASGI: ``/v1/spectate`` (SSE) and ``/v1/spectate/ws``.

Watching changes nothing: nothing that a spectator sends is ever looked at. Each connection has
its tasks here, one that writes and one that notices the client's going; what is written is the
feeds', the same bytes for everybody. ``Spectators.run`` ends what is overdue, and all streams when
the gateway stops.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

import attrs
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, WebsocketScope

from common.limits import (
    FAREWELL_SECONDS_MAX,
    GOODBYE_SECONDS_MAX,
    HEARTBEAT_SECONDS,
    OPENING_SECONDS_MAX,
    RETRY_AFTER_MS,
    SPECTATOR_TAKE_MAX,
    STILL_SECONDS_MAX,
    SWEEP_SECONDS,
)
from common.refusals import CloseCode
from common.settings import Settings
from common.wire import Fault
from gateway.address import client_address
from gateway.connection import Connection, connection_of
from gateway.http.problems import Problem
from gateway.http.tracing import trace_id_of
from gateway.metrics import SPECTATOR_EVENTS, SPECTATORS, SPECTATORS_SENT_AWAY
from gateway.ports import Bus
from gateway.refuse import answer_options, refuse
from gateway.stream.feeds import FeedDelta, Feeds, Static
from gateway.stream.pens import EventStream, Frames, Pen
from gateway.stream.portions import in_portions
from gateway.stream.reader import Ending, Reader
from gateway.stream.seats import Full, Seats
from gateway.stream.telling import Line, Telling
from gateway.stream.view import View, read_view

_FULL: dict[Full, Problem] = {
    "address": Problem(
        "rate_limited", "Too many streams from this address; close one first.", 5 * RETRY_AFTER_MS
    ),
    "gateway": Problem("unavailable", "This gateway has no seat left.", 5 * RETRY_AFTER_MS),
}

_SECONDS_TO_CLOSE = {
    Ending.STOPPING: GOODBYE_SECONDS_MAX,
    Ending.TOO_SLOW: FAREWELL_SECONDS_MAX,  # At most: ``_sweep`` counts from when it was told.
}


@attrs.define(eq=False)
class Spectators:
    _feeds: Feeds
    _bus: Bus
    _settings: Settings
    _stop: trio.Event
    _seats: Seats = attrs.field(init=False)
    _readers: set[Reader] = attrs.field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        self._seats = Seats(self._settings.spectators_per_address, self._settings.spectators_max)

    @property
    def count(self) -> int:
        return self._seats.taken

    async def run(self) -> None:
        """Until the gateway stops, look after the slow; then end all streams: clients move over."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._sweep)
            await self._stop.wait()
            nursery.cancel_scope.cancel()
        for reader in self._readers:
            reader.end(Ending.STOPPING)

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
        trace_id = trace_id_of(_header(scope, b"traceparent"))
        if scope["method"] == "OPTIONS":
            await answer_options(receive, send, "GET, OPTIONS", trace_id)
            return
        if scope["method"] != "GET":
            problem = Problem("method_not_allowed", "Watching is read-only: GET.")
            await refuse(scope, receive, send, problem, trace_id, {"Allow": "GET, OPTIONS"})
            return
        view = self._admit(scope, _header(scope, b"last-event-id"))
        if isinstance(view, Problem):
            await refuse(scope, receive, send, view, trace_id)
            return
        with self._seats.seat(self._address(scope)):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
                await self._stream(view, EventStream(send, trace_id), scope)
                nursery.cancel_scope.cancel()

    async def frames(
        self, scope: WebsocketScope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Serve ``/v1/spectate/ws``."""
        await receive()  # websocket.connect
        trace_id = trace_id_of(_header(scope, b"traceparent"))
        view = self._admit(scope, "")
        if isinstance(view, Problem):
            await refuse(scope, receive, send, view, trace_id)
            return
        with self._seats.seat(self._address(scope)):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_spoken, receive, send, nursery.cancel_scope)
                await self._stream(view, Frames(send, trace_id), scope)
                nursery.cancel_scope.cancel()

    def _admit(self, scope: HTTPScope | WebsocketScope, last_event_id: str) -> View | Problem:
        if _has_body(scope):
            return _invalid((Fault("$", "watching takes no body"),))
        view = read_view(scope["query_string"], last_event_id)
        if not isinstance(view, View):
            return _invalid(view)
        if self._stop.is_set():
            return Problem("unavailable", "This gateway is stopping; ask again.", RETRY_AFTER_MS)
        full = self._seats.full(self._address(scope))
        return view if full is None else _FULL[full]

    def _address(self, scope: HTTPScope | WebsocketScope) -> str:
        return client_address(scope, self._settings.trusted_proxies)

    async def _stream(self, view: View, pen: Pen, scope: HTTPScope | WebsocketScope) -> None:
        """Listen to every chunk of ``view`` and write until it ends, for whatever reason."""
        writing, connection = trio.CancelScope(), connection_of(scope)

        def send_away() -> None:
            writing.cancel()
            if connection is not None:
                connection.abort()

        if connection is not None:
            connection.be_patient()
        reader = Reader(send_away, set(view.chunks))
        self._readers.add(reader)
        try:
            with writing:
                await self._listen(view, reader, pen, connection)
                ending = reader.ending or Ending.STOPPING
                with trio.move_on_after(_SECONDS_TO_CLOSE[ending]):
                    await pen.close(ending)
        finally:
            self._readers.discard(reader)
            if reader.ending is Ending.TOO_SLOW:
                SPECTATORS_SENT_AWAY.inc()

    async def _listen(
        self, view: View, reader: Reader, pen: Pen, connection: Connection | None
    ) -> None:
        with SPECTATORS.track_inprogress():
            try:
                await _bounded(pen.open(), reader)
                for chunk in view.chunks:
                    self._feeds.listen(chunk, reader)
                await self._write(view, reader, pen, connection)
            finally:
                for chunk in view.chunks:
                    self._feeds.leave(chunk, reader)

    async def _write(
        self, view: View, reader: Reader, pen: Pen, connection: Connection | None
    ) -> None:
        telling = Telling(view, self._bus)
        await self._put(pen, reader, [telling.ready()])
        with trio.move_on_after(OPENING_SECONDS_MAX):
            await reader.wait_opened()
        lines = await _tell(telling, telling.in_order(reader.take()))
        beat_at = trio.current_time() + HEARTBEAT_SECONDS
        while reader.ending is None:
            await self._put(pen, reader, lines)
            if trio.current_time() >= beat_at:
                if connection is not None and connection.has_vanished:
                    reader.give_up()
                await _bounded(pen.beat(), reader)
                beat_at = trio.current_time() + HEARTBEAT_SECONDS
            with trio.move_on_at(beat_at):
                await reader.wait()
            lines = await self._next(view, reader, telling)

    async def _next(self, view: View, reader: Reader, telling: Telling) -> list[Line]:
        if not reader.is_slow:
            return await _tell(telling, reader.take(SPECTATOR_TAKE_MAX))
        # No await in here: what is heard from now on follows exactly what is shown.
        reader.begin_anew()
        known = [self._feeds.show(chunk) for chunk in view.chunks]
        return telling.all_anew([static for static in known if static is not None])

    async def _put(self, pen: Pen, reader: Reader, lines: Sequence[Line]) -> None:
        for some in in_portions(lines):
            if reader.ending is not None:
                return  # Its ids say how far it came.
            await _bounded(pen.write(some), reader)
            SPECTATOR_EVENTS.inc(len(some))


async def _tell(telling: Telling, items: Sequence[Static | FeedDelta]) -> list[Line]:
    return [line for item in items for line in await telling.tell(item)]


async def _bounded(write: Awaitable[None], reader: Reader) -> None:
    """Wait for ``write``, which is small; a client that does not take it in time has gone.

    (On HTTP/1 Hypercorn shields its writes: there ``gateway.connection`` keeps the deadline.)
    """
    with trio.move_on_after(STILL_SECONDS_MAX) as scope:
        await write
    if scope.cancelled_caught:
        reader.give_up()
        await trio.lowlevel.checkpoint_if_cancelled()


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


def _header(scope: HTTPScope | WebsocketScope, wanted: bytes) -> str:
    """Return the one header of that name; "" when there is none or more than one."""
    values = [value for name, value in scope["headers"] if name == wanted]
    return values[0].decode("latin-1") if len(values) == 1 else ""


def _has_body(scope: HTTPScope | WebsocketScope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


def _invalid(faults: tuple[Fault, ...]) -> Problem:
    return Problem("validation_failed", "The view can't be shown; see errors.", errors=faults)
