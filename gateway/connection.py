"""One client's TCP connection, as Hypercorn serves it, with the deadlines that Hypercorn lacks.

It knows no protocol of ours. What it adds, and why, is in ``ops/decisions/connections.md``: a
write of which nothing is taken ends the connection, a closed connection ends its endpoints, the
client has time to read our last words, and what breaks inside for one client breaks for that one
only. Endpoints reach it through ``scope["state"]``: ``connection_of``, ``aborter_of``,
``harden``, ``websocket_of``.
"""

from __future__ import annotations

import socket
import struct
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.ws_stream import WSStream
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
    STILL_VANISHED_SECONDS_MAX,
)
from gateway.frames import BoundedBuffer, StrictHandshake

_log = structlog.get_logger(__name__)

_CONNECTION = "tessera.connection"
_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() throws away what is unsent.


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
        sock = self._socket()
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        except OSError:
            return  # It is closed already.
        sock.close()
        self._end_within(ABANDONED_SECONDS_MAX)

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
        try:
            return _silent_seconds(self._socket()) > STILL_VANISHED_SECONDS_MAX
        except OSError:
            return True

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
            if not self._closing:
                await self._handle(data)
            if not data:
                return

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


def end_vanished(sock: trio.socket.SocketType, seconds: float) -> None:
    """Let the kernel end ``sock`` when its peer acknowledges nothing for so long; 0: never."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


def _silent_seconds(sock: trio.socket.SocketType) -> float:
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        return 0.0
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 60)
    (milliseconds,) = struct.unpack_from("I", info, 56)  # tcpi_last_ack_recv, linux/tcp.h
    return float(milliseconds) / 1000


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
