"""A spectator that writes down all it gets, and is cut off again and again, at any byte.

It judges nothing: what it wrote down is held against the world's own sequence when all is over.
Over the event stream, by a socket of its own so that it ends where we say; or over the WebSocket.
"""

from __future__ import annotations

import math
import random
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import quote, urlsplit

import attrs
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, HandshakeError

from common.grid import ChunkId
from ops.client.socket import open_socket
from ops.event_stream import Body, Events, read_frame_event

CUT_BYTES_MAX_LOG = 5.0  # 100,000: some forty statics.
CUT_SECONDS_MEAN = 1.5
AWAY_SECONDS_MAX = 0.3
FRAMES_RATE = 0.2  # Of the connections: over the WebSocket.
READ_BYTES = 16 * 1024
_RESET = struct.pack("ii", 1, 0)


@attrs.frozen
class Began:
    """A connection, with the last id if there was one."""

    with_id: bool


@attrs.frozen
class Heard:
    data: str


@attrs.define(eq=False)
class Recorder:
    name: str
    urls: Sequence[str]
    chunks: Sequence[ChunkId]
    chance: random.Random
    heard: list[Began | Heard] = attrs.field(factory=list)
    cut_off: int = 0
    """Times that it was served again after it was cut off."""
    moved: int = 0
    """The same, after a gateway stopped or died."""
    _is_calm: bool = False
    """It is cut off no more."""
    _last_id: str = ""
    _beginning: Began | None = None
    """A connection of which nothing was heard yet."""
    _was_cut: bool | None = None
    """What ended the last connection; None before there was one."""
    _cutting: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._beginning = Began(bool(self._last_id))
            seconds = math.inf if self._is_calm else self.chance.expovariate(1 / CUT_SECONDS_MEAN)
            was_cut = False
            with trio.move_on_after(seconds) as self._cutting, suppress(*_GONE):
                was_cut = await self._watch(self.chance.choice(self.urls))
            if self._beginning is None:
                self._was_cut = was_cut or self._cutting.cancelled_caught
            await trio.sleep(self.chance.uniform(0, AWAY_SECONDS_MAX))

    def be_calm(self) -> None:
        """From now on stay, unless a gateway goes."""
        self._is_calm = True
        self._cutting.deadline = math.inf

    async def _watch(self, url: str) -> bool:
        """Return whether it was we who ended it."""
        query = f"?chunks={','.join(self.chunks)}"
        if self._last_id:
            query += f"&last_event_id={quote(self._last_id)}"
        if self.chance.random() < FRAMES_RATE:
            async with open_socket(f"{url}/v1/spectate/ws{query}", []) as frames:
                while True:
                    self._hear(*read_frame_event(str(await frames.get_message())))
        return await self._watch_events(url, f"/v1/spectate{query}")

    async def _watch_events(self, url: str, target: str) -> bool:
        parts = urlsplit(url)
        is_counted = not self._is_calm and self.chance.random() < 0.5
        left = int(10 ** self.chance.uniform(0, CUT_BYTES_MAX_LOG)) if is_counted else sys.maxsize
        body, events = Body(), Events()
        async with await trio.open_tcp_stream(parts.hostname or "", parts.port or 80) as stream:
            await stream.send_all(f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
            while left and (data := await stream.receive_some(min(left, READ_BYTES))):
                left -= len(data)
                text = body.read(data)
                if body.status not in (None, 200):
                    return False
                for id, event in events.read(text):
                    self._hear(id, event)
            if not left and self.chance.random() < 0.5:
                stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        return not left

    def _hear(self, id: str, data: str) -> None:
        if self._beginning is not None:
            self.heard.append(self._beginning)
            self._beginning = None
            self.cut_off += self._was_cut is True
            self.moved += self._was_cut is False
        self.heard.append(Heard(data))
        self._last_id = id or self._last_id


_GONE = (
    OSError,
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
)
