"""A session's connection, kept alive: it reconnects with resume, or with a new session after 60 s.

It knows sockets and tokens. What the frames mean is for whoever ``hears`` them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import attrs
import httpx
import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
)

from common import wire
from common.frames import ClientFrame, ServerFrame, SessionReady
from common.refusals import CloseCode
from ops.client.account import Refused, Ticket, open_session, refusal_of
from ops.client.socket import open_socket

RETRY_SECONDS_MIN = 0.1
RETRY_SECONDS_MAX = 5.0
FINAL = (CloseCode.POLICY, CloseCode.REPLACED, CloseCode.SESSION_ENDED)


class SessionOver(Exception):
    """The server ended the session for good: the close code says why."""

    def __init__(self, code: int, reason: str | None) -> None:
        super().__init__(f"{code} {reason or ''}")
        self.code = code


class Tap(Protocol):
    """Is told of every frame of a connection, for whoever checks what the server says."""

    def heard(self, frame: ServerFrame) -> None: ...

    def sent(self, frame: ClientFrame) -> None:
        """Before it is written: a connection that dies meanwhile may have carried it."""


@attrs.define(eq=False)
class Link:
    """``hear`` takes a frame and returns what to answer; ``begin`` is told of each new session.

    ``last_seq`` says how far the session's lines were heard. Each connection goes to the next of
    the gateways at ``urls``.
    """

    urls: Sequence[str]
    http: httpx.AsyncClient
    api_key: str = attrs.field(repr=False)
    hear: Callable[[ServerFrame], Iterable[ClientFrame]]
    begin: Callable[[Ticket], None]
    last_seq: Callable[[], int]
    ticket: Ticket
    tap: Tap | None = None
    _turn: int = 0
    _connected: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _resumable: bool = False
    _socket: WebSocketConnection | None = None

    @property
    def url(self) -> str:
        """The gateway that it is connected to, or tries."""
        return self.urls[self._turn % len(self.urls)]

    async def send(self, frame: ClientFrame) -> None:
        """Send now, or not at all: what was not acked is sent again after a reconnect."""
        if self._socket is not None:
            try:
                await self._write(self._socket, frame)
            except ConnectionClosed:
                self._socket = None

    def drop(self) -> None:
        """Give up this connection; the next one is on its way."""
        self._connected.cancel()

    async def keep(self) -> None:
        """Stay connected until cancelled; raises SessionOver, Refused or StreamBroken."""
        self.begin(self.ticket)
        delay = RETRY_SECONDS_MIN
        while True:
            began = trio.current_time()
            try:
                with trio.CancelScope() as self._connected:
                    await self._connect_once()
            except ConnectionRejected as rejected:
                await self._rejected(rejected)
            except (OSError, HandshakeError):
                pass  # The server is away or starting; its clients come back, spread by the delay.
            self._turn += 1
            if trio.current_time() - began > RETRY_SECONDS_MAX:
                delay = RETRY_SECONDS_MIN
            await trio.sleep(delay * (0.5 + random.random()))  # noqa: S311  Only spreads retries.
            delay = min(2 * delay, RETRY_SECONDS_MAX)

    async def _rejected(self, rejected: ConnectionRejected) -> None:
        """Too late to resume: begin a session. Busy or starting: try again. Else it is final."""
        refusal = refusal_of(_response_of(rejected))
        if refusal.code == "resume_refused":
            try:
                self.ticket = await open_session(self.http, self.api_key)
            except httpx.TransportError:
                return
            except Refused as refused:
                await self._pause_if_it_passes(refused)
                return
            self._resumable = False
            self.begin(self.ticket)
        else:
            await self._pause_if_it_passes(refusal)

    async def _pause_if_it_passes(self, refusal: Refused) -> None:
        """Wait as long as the server says; raise ``refusal`` when it will say so again."""
        if refusal.status < 429:
            raise refusal from None
        await trio.sleep((refusal.retry_after_ms or 0) / 1000)

    async def _connect_once(self) -> None:
        path = self.ticket.ws_path
        if self._resumable:
            path += f"?resume={self.ticket.resume_token}&last_seq={self.last_seq()}"
        bearer = (b"Authorization", f"Bearer {self.ticket.session_token}".encode())
        async with open_socket(self.url.rstrip("/") + path, [bearer]) as socket:
            try:
                await self._listen(socket)
            except ConnectionClosed as closed:
                if closed.reason is not None and closed.reason.code in FINAL:
                    raise SessionOver(closed.reason.code, closed.reason.reason) from None
            finally:
                self._socket = None

    async def _listen(self, socket: WebSocketConnection) -> None:
        while True:
            frame = _read(await socket.get_message())
            if frame is None:
                continue
            if isinstance(frame, SessionReady):
                self.ticket = attrs.evolve(self.ticket, resume_token=frame.resume_token)
                self._resumable = True
                self._socket = socket
            if self.tap is not None:
                self.tap.heard(frame)
            for answer in self.hear(frame):
                await self._write(socket, answer)

    async def _write(self, socket: WebSocketConnection, frame: ClientFrame) -> None:
        if self.tap is not None:
            self.tap.sent(frame)
        await socket.send_message(wire.encode(frame).decode())


def _response_of(rejected: ConnectionRejected) -> httpx.Response:
    headers = httpx.Headers(list(rejected.headers or ()))
    return httpx.Response(rejected.status_code, headers=headers, content=rejected.body)


def _read(message: str | bytes) -> ServerFrame | None:
    """None for a frame of a kind that this client does not know yet."""
    plain = wire.parse(message)
    if not isinstance(plain, dict) or plain.get("type") not in _KNOWN:
        return None
    return wire.structure_leniently(plain, ServerFrame)


_KNOWN = frozenset(
    (
        "session_ready",
        "chunk_static",
        "chunk_delta",
        "challenge",
        "ack",
        "result",
        "error",
        "goodbye",
    )
)
