"""A conversation over ASGI: in HTTP/2, behind our own TLS, in a test, in the simulation.

Three tasks: one reads, one writes, one pings. What we need of a WebSocket and ASGI does not have is
done behind its back: our own pings, pongs, and a clean end. Hypercorn keeps pongs to itself, and
sends its first ping before our first frame: then a pong would not mean that the client heard us.
Here the first comes PING_SECONDS after the upgrade. Without Hypercorn's HTTP/1 WebSocket nothing of
this happens, and a client proves by its first data frame that it is there. See
ops/decisions/agents.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import trio
from hypercorn.protocol.events import Data
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, WebsocketScope
from wsproto.connection import Connection
from wsproto.events import Event, Ping, Pong
from wsproto.utilities import LocalProtocolError

from common.limits import CLOSE_SECONDS_MAX, FRAME_BYTES_MAX, PING_SECONDS
from common.refusals import CloseCode
from gateway.agent.conversation import Conversation
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


async def converse(
    conversation: Conversation,
    websocket: Websocket,
    receive: ASGIReceiveCallable,
    send: ASGISendCallable,
) -> None:
    """Run ``conversation`` until either side ends it."""
    async with trio.open_nursery() as nursery:
        websocket.watch(conversation.confirm)
        nursery.start_soon(_Writer(conversation, websocket).write, send)
        nursery.start_soon(websocket.ping)
        nursery.start_soon(_read, conversation, receive)
        await conversation.run()
        nursery.cancel_scope.cancel()


async def _read(conversation: Conversation, receive: ASGIReceiveCallable) -> None:
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.receive":
            text, binary = message.get("text"), message.get("bytes")
            if len(text.encode() if text is not None else binary or b"") > FRAME_BYTES_MAX:
                reason = f"a frame has {FRAME_BYTES_MAX} bytes at most"
                conversation.outbox.end(CloseCode.TOO_BIG, reason)
            else:
                conversation.hear_frame(text)
            await conversation.wait_dealt_with()
    conversation.leave()


@attrs.define(eq=False)
class _Writer:
    _conversation: Conversation
    _websocket: Websocket
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def write(self, send: ASGISendCallable) -> None:
        """Write all that is put, until the end; then goodbye, and close."""
        outbox = self._conversation.outbox
        outbox.changed = self._wake
        while True:
            self._changed = trio.Event()
            while frames := outbox.take(1):
                await _send(send, frames[0])
            if outbox.ending is not None:
                break
            if not self._changed.is_set():
                await self._changed.wait()
        await _send(send, outbox.ending.goodbye)
        code, reason = int(outbox.ending.code), outbox.ending.reason
        await send({"type": "websocket.close", "code": code, "reason": reason})
        await trio.sleep(CLOSE_SECONDS_MAX)  # Cut short when the client closes its side.
        await self._websocket.hang_up()
        self._conversation.leave()

    def _wake(self) -> None:
        self._changed.set()


async def _send(send: ASGISendCallable, frame: bytes) -> None:
    await send({"type": "websocket.send", "bytes": None, "text": frame.decode()})


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
