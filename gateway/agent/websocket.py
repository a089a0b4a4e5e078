"""What we need of a WebSocket and ASGI does not have: our own pings, pongs, and a clean end.

Hypercorn keeps pongs to itself, and sends its first ping before our first frame: then a pong would
not mean that the client heard us. Here the first comes PING_SECONDS after the upgrade. Without
Hypercorn's HTTP/1 WebSocket (in a test, in HTTP/2) nothing of this happens, and a client proves by
its first data frame that it is there. See ops/decisions/agents.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import trio
from hypercorn.protocol.events import Data
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.typing import WebsocketScope
from wsproto.connection import Connection
from wsproto.events import Event, Ping, Pong
from wsproto.utilities import LocalProtocolError

from common.limits import CLOSE_SECONDS_MAX, PING_SECONDS
from gateway.connection import aborter_of, websocket_of


@attrs.frozen(eq=False)
class Websocket:
    _stream: WSStream | None
    _abort: Callable[[], None]

    def silence(self) -> None:
        """Before the upgrade: let Hypercorn send no pings."""
        if self._stream is not None:
            self._stream._send_pings = _nothing  # type: ignore[method-assign]  # Hypercorn has no switch for one connection.

    @property
    def is_closed(self) -> bool:
        """Whether nothing that is sent arrives any more: also when nobody told the endpoint."""
        return self._stream is not None and self._stream.closed

    def watch(self, heard: Callable[[], None]) -> None:
        """After the upgrade: call ``heard``, which must not wait, at every pong."""
        if self._stream is not None:
            listening: Any = _Listening(self._stream.connection, heard)
            self._stream.connection = listening

    async def ping(self) -> None:
        """Ping now and then, until the WebSocket closes."""
        while self._stream is not None:
            await trio.sleep(PING_SECONDS)
            try:
                data = self._stream.connection.send(Ping())
            except LocalProtocolError:
                return
            await self._stream.send(Data(stream_id=self._stream.stream_id, data=data))

    async def hang_up(self) -> None:
        """End the connection, once our last words are written; the endpoint hears it as gone.

        Returning from the endpoint is not enough: what Hypercorn does then waits for ever if
        the client keeps its queue to us full, and nobody reads that any more.
        """
        if self._stream is None:
            return
        with trio.move_on_after(CLOSE_SECONDS_MAX, shield=True) as scope:
            await self._stream.app_send(None)
        if scope.cancelled_caught:
            self._abort()


def websocket_behind(scope: WebsocketScope) -> Websocket:
    return Websocket(websocket_of(scope), aborter_of(scope))


class _Listening:
    """A wsproto connection that tells of pongs."""

    def __init__(self, connection: Connection, heard: Callable[[], None]) -> None:
        self._connection = connection
        self._heard = heard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def events(self) -> Iterator[Event]:
        for event in self._connection.events():
            if isinstance(event, Pong):
                self._heard()
            yield event


async def _nothing() -> None:
    pass
