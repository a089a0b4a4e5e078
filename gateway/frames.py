"""Hypercorn's WebSocket frames, as strict as we need them.

They know no endpoint. No compression is agreed to, messages are bounded in bytes, and who breaks
the rules of RFC 6455 is told so before the connection ends. ``gateway.connection.harden`` puts
them in place.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any

from hypercorn.protocol.ws_stream import FrameTooLargeError, Handshake, WebsocketBuffer
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import CloseConnection, Event, Message

from common.limits import FRAME_BYTES_MAX


class StrictHandshake(Handshake):
    def __init__(self, headers: Iterable[tuple[bytes, bytes]], http_version: str) -> None:
        super().__init__(list(headers), http_version)
        # Some KB deflated are some MB inflated, before any bound is looked at; and deflating for
        # each listener apart costs more CPU and memory than all else that we do for it.
        self.extensions = None

    def accept(
        self, subprotocol: str | None, additional_headers: Iterable[tuple[bytes, bytes]]
    ) -> tuple[int, list[tuple[bytes, bytes]], Connection]:
        status, headers, _ = super().accept(subprotocol, additional_headers)
        return status, headers, _Answering(ConnectionType.SERVER)


class _Answering(Connection):
    """Lets a breach of the rules look like the client's close frame with the code that it deserves.

    wsproto names the code (1002, 1007); Hypercorn answers only a client that closes, with the
    same code, and for a breach would end the connection without a word.
    """

    def events(self) -> Generator[Event]:
        for event in super().events():
            if isinstance(event, CloseConnection) and self.state is ConnectionState.OPEN:
                self._state = ConnectionState.REMOTE_CLOSING
            yield event


class BoundedBuffer(WebsocketBuffer):
    """Counts bytes, not characters, and ends the connection of a client that sends too many."""

    def __init__(self, hang_up: Callable[[], None]) -> None:
        super().__init__(FRAME_BYTES_MAX)
        self._hang_up = hang_up
        self._bytes = 0

    def extend(self, event: Message[Any]) -> None:
        data = event.data
        self._bytes += len(data.encode() if isinstance(data, str) else data)
        if self._bytes > FRAME_BYTES_MAX:
            self._hang_up()
            raise FrameTooLargeError
        super().extend(event)

    def clear(self) -> None:
        super().clear()
        self._bytes = 0
