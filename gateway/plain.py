"""A connection that is nothing but a socket any more: HTTP/1.1 without TLS, its request read.

It writes one answer, in chunks, and has the deadlines of ``gateway.connection``: a client that
takes nothing for STILL_SECONDS_MAX has gone. It reads nothing: ``gateway.lookout`` tells when the
client went. Why there is such a thing is in ``ops/decisions/fanout.md``.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

import attrs
import trio
from hypercorn.config import Config
from hypercorn.typing import ASGISendEvent
from typing_extensions import Buffer

from common.limits import STILL_SECONDS_MAX
from gateway.kernel import close_by_reset, end_vanished, has_vanished
from gateway.lookout import Lookout

LAST_CHUNK = b"0\r\n\r\n"


def in_chunk(data: bytes) -> bytes:
    """https://www.rfc-editor.org/rfc/rfc9112#name-chunked-transfer-coding; ``data`` has some."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@attrs.define(eq=False)
class PlainConnection:
    """``gone`` is called, and must not wait, when the client has closed its side."""

    _sock: socket.socket
    _lookout: Lookout
    send: Callable[[Buffer], int] = attrs.field(init=False)
    """The socket's own: BlockingIOError when it is full, another OSError when it is closed."""
    is_open: bool = attrs.field(default=True, init=False)

    def __attrs_post_init__(self) -> None:
        self._sock.setblocking(False)
        end_vanished(self._sock, 0)  # See ``Connection.be_patient``.
        self.send = self._sock.send

    def watch(self, gone: Callable[[], None]) -> None:
        self._lookout.watch(self._sock, gone)

    async def send_all(self, data: bytes) -> None:
        """BrokenResourceError when the client has gone; TooSlowError when it takes nothing.

        It may take any time, as long as the client takes some of it now and then. Cancelled, it
        leaves half of it behind: then the connection is of no use any more.
        """
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self.send(rest) :]
            except BlockingIOError:
                await self._wait_room()
            except OSError as error:
                raise trio.BrokenResourceError("the client has gone") from error

    async def _wait_room(self) -> None:
        with trio.fail_after(STILL_SECONDS_MAX):
            try:
                await trio.lowlevel.wait_writable(self._sock)
            except trio.ClosedResourceError as error:
                raise trio.BrokenResourceError("it was closed here meanwhile") from error

    @property
    def has_vanished(self) -> bool:
        return has_vanished(self._sock)

    def close(self) -> None:
        """Now; harmless when it is closed already."""
        if self._let_go():
            self._sock.close()

    def abort(self) -> None:
        """The same, and nothing that the client has not yet taken is sent any more."""
        if self._let_go():
            close_by_reset(self._sock)

    def see_off(self, seconds: float) -> None:
        """Say that no more will come, and give the client so long to read what did."""
        if not self._let_go():
            return
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._sock.close()
        else:
            self._lookout.see_off(self._sock, seconds)

    def _let_go(self) -> bool:
        """Whether it was still ours to close."""
        if not self.is_open:
            return False
        self.is_open = False
        self._lookout.forget(self._sock)
        trio.lowlevel.notify_closing(self._sock)
        return True


@attrs.define
class PlainAnswer:
    """ASGI's ``send`` for a response of unknown length; its head goes with the first of it."""

    connection: PlainConnection
    _config: Config
    _head: bytes = attrs.field(default=b"", init=False)

    async def send(self, event: ASGISendEvent) -> None:
        if event["type"] == "http.response.start":
            headers = (
                *event["headers"],
                (b"transfer-encoding", b"chunked"),
                *self._config.response_headers("h11"),
            )
            fields = b"".join(b"%b: %b\r\n" % header for header in headers)
            self._head = b"HTTP/1.1 %d \r\n%b\r\n" % (event["status"], fields)
        else:
            assert event["type"] == "http.response.body", "it answers, and does nothing else"
            body = in_chunk(event["body"]) if event["body"] else b""
            last = b"" if event["more_body"] else LAST_CHUNK
            head, self._head = self._head, b""
            await self.connection.send_all(head + body + last)
