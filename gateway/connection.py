"""One client's TCP connection, as Hypercorn serves it, with the deadlines that Hypercorn lacks.

It knows no protocol of ours. What it adds, and why, is in ``ops/decisions/connections.md``: a
write of which nothing is taken ends the connection, a closed connection ends its endpoints, the
client has time to read our last words, and what breaks inside for one client breaks for that one
only. Endpoints reach it through ``scope["state"]``: ``connection_of``, ``aborter_of``,
``harden``, ``websocket_of``.
"""

from __future__ import annotations

import socket
import traceback
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ASGISendCallable, HTTPScope, WebsocketScope

from common.limits import (
    ABANDONED_SECONDS_MAX,
    FAREWELL_SECONDS_MAX,
    GOODBYE_SECONDS_MAX,
    LINGER_SECONDS,
    SEND_BYTES_MAX,
    SEND_SECONDS_MAX,
    STILL_SECONDS_MAX,
)
from gateway.frames import BoundedBuffer, StrictHandshake
from gateway.kernel import close_by_reset, end_vanished, has_vanished

_log = structlog.get_logger(__name__)

_CONNECTION = "tessera.connection"
_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


class Connection(TCPServer):
    """Await it to serve ``stream`` until either side is done."""

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        living: set[Connection],
        stream: trio.SSLStream[trio.SocketStream],
    ) -> None:
        super().__init__(app, config, context, {_CONNECTION: self}, stream)
        self._living = living
        self._life = trio.CancelScope()
        self._closing = False
        self._hanging_up = False
        self.is_taken = False
        self._taken: weakref.ref[socket.socket] | None = None
        self._patience = SEND_SECONDS_MAX
        self._linger = LINGER_SECONDS

    async def run(self) -> None:
        self._living.add(self)
        try:
            with self._life:
                await super().run()
        except* Exception as failed:  # noqa: BLE001 - see below
            # Hypercorn's parsers raise much on bytes that nobody expected, and one client's
            # bytes must not end the process. (Bugs of endpoints are logged before they get here.)
            _log.warning("a connection failed", errors=[*map(_in_short, _leaves(failed))])
        finally:
            self._living.discard(self)

    def abort(self) -> None:
        """End the connection now, from any task, also in the middle of a write that is stuck."""
        try:
            close_by_reset(self._socket())
        except OSError:
            return  # It is closed already.
        self._end_within(ABANDONED_SECONDS_MAX)

    def take_over(self) -> socket.socket | None:
        """Return the client's socket, which is the caller's from now on; None: it can't be had.

        For an endpoint that has read its request and answered nothing yet. Hypercorn then forgets
        connection and request: the endpoint must return at once, without awaiting anything. Not
        to be had are TLS, HTTP/2, and HTTP/1.0, which has no chunks.
        """
        request = self._request()
        if not isinstance(request, HTTPStream) or request.scope["http_version"] != "1.1":
            return None
        return self._detach(request)

    def take_over_websocket(
        self, subprotocol: str | None, more: Sequence[tuple[bytes, bytes]] = ()
    ) -> tuple[socket.socket, bytes] | None:
        """The same for a WebSocket; also the head of the answer that accepts it."""
        request = self._request()
        if not isinstance(request, WSStream) or request.state is not ASGIWebsocketState.HANDSHAKE:
            return None
        status, headers, _ = request.handshake.accept(subprotocol, [])
        fields = (*headers, *more, *self.config.response_headers("h11"))
        head = b"".join(b"%b: %b\r\n" % field for field in fields)
        return self._detach(request), b"HTTP/1.1 %d \r\n%b\r\n" % (status, head)

    def _request(self) -> HTTPStream | WSStream | None:
        """The one request that could be taken over."""
        protocol = self.protocol.protocol
        request = protocol.stream if isinstance(protocol, H11Protocol) else None
        if (
            request is None
            or not isinstance(self.stream, trio.SocketStream)
            or request.closed
            or self._closing
            or self.send_lock.locked()
        ):
            return None
        return request

    def _detach(self, request: HTTPStream | WSStream) -> socket.socket:
        assert isinstance(self.stream, trio.SocketStream)
        request.closed = True  # Hypercorn owes no answer any more.
        self.is_taken = True
        self._life.cancel()
        sock = self.stream.socket
        trio.lowlevel.notify_closing(sock)  # Who reads from it here must not read any more.
        taken = socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self._taken = weakref.ref(taken)
        return taken

    def be_patient(self) -> None:
        """Let the client stand still, and read our last words, for longer; from now on."""
        self._patience = STILL_SECONDS_MAX
        self._linger = FAREWELL_SECONDS_MAX
        with suppress(OSError):  # It is closed already.
            # To the kernel a peer with little room, however much it reads, is as good as vanished.
            end_vanished(self._socket(), 0)

    @property
    def has_vanished(self) -> bool:
        """Whether the peer acknowledged nothing for long; if it is sent something now and then."""
        return has_vanished(self._socket())

    def hang_up(self) -> None:
        """End the connection once what the client sent last is dealt with."""
        self._hanging_up = True

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, RawData):
            if not await self._write(event.data):
                await self.protocol.handle(Closed())
            return
        # An endpoint may be cancelled because its request is over (quart-trio does that) while
        # it brings this news itself: lost, the connection would be neither idle nor closed.
        deadline = trio.current_time() + GOODBYE_SECONDS_MAX
        with trio.CancelScope(shield=True, deadline=deadline):
            if isinstance(event, Closed):
                await self._half_close()
                await self.protocol.handle(Closed())
            else:
                await super().protocol_send(event)

    async def _write(self, data: bytes) -> bool:
        """Whether ``data`` was written: all of it, since half a frame would be worse than none.

        It may take any time, as long as the client takes some of it now and then.
        """
        async with self.send_lock:
            for start in range(0, len(data), SEND_BYTES_MAX):
                deadline = trio.current_time() + self._patience
                with trio.CancelScope(shield=True, deadline=deadline) as piece:
                    try:
                        await self.stream.send_all(data[start : start + SEND_BYTES_MAX])
                    except _GONE:
                        return False
                if piece.cancelled_caught:
                    self.abort()
                    return False
        return True

    async def _read_data(self) -> None:
        await self._read()
        await self.protocol.handle(Closed())
        await self.idle_task.stop()  # Else a socket that the client closed is kept until idle.
        # An endpoint that is not told that its client has gone must not wait for it for ever.
        self._end_within(ABANDONED_SECONDS_MAX)

    async def _read(self) -> None:
        while True:  # Ends when the client does, or when our time is up.
            try:
                data = bytes(await self.stream.receive_some(MAX_RECV))
            except _GONE:
                return
            # Once we are closing it is read and thrown away: to close on unread bytes is a reset,
            # and then the client never reads why.
            if self._taken is not None:
                self._mind_haste(data)
            elif not self._closing:
                await self._handle(data)
            if not data:
                return

    def _mind_haste(self, data: bytes) -> None:
        """End a connection that was taken over just when we had read more from it.

        Who speaks before the upgrade breaks the rules; and what it said can't be given back.
        """
        taken = self._taken() if self._taken is not None else None
        if data and taken is not None:
            with suppress(OSError):
                taken.shutdown(socket.SHUT_RDWR)

    async def _handle(self, data: bytes) -> None:
        was_http1 = isinstance(self.protocol.protocol, H11Protocol)
        await self.protocol.handle(RawData(data))
        if self._hanging_up or self._is_forgotten():
            await self.protocol_send(Closed())
        if was_http1 and isinstance(self.protocol.protocol, H2Protocol):
            # The preface of HTTP/2 counted as a request and stopped the clock, but it is none.
            await self.protocol_send(Updated(idle=self.protocol.protocol.idle))

    def _is_forgotten(self) -> bool:
        """Whether Hypercorn gave up the only stream, but neither the connection nor its app."""
        protocol = self.protocol.protocol
        stream = protocol.stream if isinstance(protocol, H11Protocol) else None
        return isinstance(stream, WSStream) and stream.closed

    async def _close(self) -> None:
        if not self.is_taken:
            await super()._close()

    async def _half_close(self) -> None:
        """Say that no more will come; what is left is for the client to read, and to close."""
        if self._closing:
            return
        self._closing = True
        self._end_within(self._linger)
        if isinstance(self.stream, trio.SSLStream):
            await self._close()  # TLS has no half.
            return
        async with self.send_lock:  # What is being written comes first.
            with suppress(*_GONE):
                await self.stream.send_eof()

    def _end_within(self, seconds: float) -> None:
        self._life.deadline = min(self._life.deadline, trio.current_time() + seconds)

    def _socket(self) -> trio.socket.SocketType:
        stream: Any = self.stream
        found: trio.socket.SocketType = getattr(stream, "transport_stream", stream).socket
        return found


def aborter_of(scope: HTTPScope | WebsocketScope) -> Callable[[], None]:
    """Return what ends the connection of ``scope`` from outside; nothing in a test without one."""
    connection = connection_of(scope)
    return connection.abort if connection is not None else _nothing


def connection_of(scope: HTTPScope | WebsocketScope) -> Connection | None:
    """Return the connection of ``scope``; None in a test without one."""
    connection = scope.get("state", {}).get(_CONNECTION)
    return connection if isinstance(connection, Connection) else None


def harden(scope: WebsocketScope, send: ASGISendCallable) -> None:
    """Close what Hypercorn has no settings for, before the WebSocket of ``scope`` is accepted."""
    stream = getattr(send, "__self__", None)
    connection = connection_of(scope)
    if isinstance(stream, WSStream) and connection is not None:
        stream.handshake = StrictHandshake(scope["headers"], scope["http_version"])
        stream.buffer = BoundedBuffer(connection.hang_up)


def websocket_of(scope: WebsocketScope) -> WSStream | None:
    """Return Hypercorn's side of an HTTP/1 WebSocket; None in a test without one, or in HTTP/2."""
    connection = connection_of(scope)
    if connection is None:
        return None
    stream = getattr(connection.protocol.protocol, "stream", None)
    return stream if isinstance(stream, WSStream) else None


def _leaves(failed: BaseException) -> list[BaseException]:
    if not isinstance(failed, BaseExceptionGroup):
        return [failed]
    return [leaf for error in failed.exceptions for leaf in _leaves(error)]


def _in_short(error: BaseException) -> str:
    """What and where, in a line: a client must not be able to fill the log with tracebacks."""
    (*_, place) = traceback.extract_tb(error.__traceback__)
    return f"{error!r:.200} at {place.filename}:{place.lineno}"


def _nothing() -> None:
    pass
