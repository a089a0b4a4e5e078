"""Spectators that come back with an old id: how long until they have all that they missed.

Plain sockets, for a thread that does nothing else. What they time they also check: every missed
delta came once and in order. A ``resync`` in their place is counted, and not timed.
"""

from __future__ import annotations

import math
import re
import selectors
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from time import monotonic

import attrs

from common.grid import ChunkId, Tick
from gateway.stream import position
from gateway.stream.position import Mark

SECONDS_MAX = 30.0
READ_BYTES = 1024 * 1024
_DELTA = re.compile(rb'data: \{"chunk":"([^"]+)","tick":(\d+),"prev_tick":(\d+)')


@attrs.frozen
class Return:
    """``count`` at once, to ``chunks``: told of all up to ``seen``, and to be up to ``until``."""

    port: int
    chunks: Sequence[ChunkId]
    seen: Tick
    until: Tick
    count: int = 1

    @property
    def request(self) -> bytes:
        id = position.encode({chunk: Mark(1, self.seen) for chunk in self.chunks})
        return (
            f"GET /v1/spectate?chunks={','.join(self.chunks)} HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{self.port}\r\nLast-Event-ID: {id}\r\n\r\n"
        ).encode()


@attrs.define(eq=False)
class _Returner:
    """``ticks``: up to where it was told of each chunk."""

    sock: socket.socket
    began: float
    ticks: dict[bytes, int]
    is_resynced: bool = False
    rest: bytes = b""

    def read(self) -> None:
        data = self.sock.recv(READ_BYTES)
        assert data, "the server hung up"
        whole, end, rest = data.rpartition(b"\n\n")
        if not end:
            self.rest += data
            return
        whole, self.rest = self.rest + whole, rest
        self.is_resynced |= b"event: resync" in whole
        for chunk, tick, prev_tick in _DELTA.findall(whole):
            is_next = int(prev_tick) == self.ticks[chunk] or self.is_resynced
            assert is_next, "something is missing, or came twice"
            self.ticks[chunk] = int(tick)


def come_back(what: Return) -> list[float]:
    """Return how long each waited, in ms, from connecting to the last delta that it had missed.

    Infinity: it was shown the chunk anew.
    """
    waits: list[float] = []
    end = monotonic() + SECONDS_MAX
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for _ in range(what.count):
            returner = _connect(what)
            stack.callback(returner.sock.close)
            selector.register(returner.sock, selectors.EVENT_READ, returner)
        while len(waits) < what.count:
            ready = selector.select(max(0.0, end - monotonic()))
            assert ready, "they should have been told by now"
            for key, _ in ready:
                returner = key.data
                returner.read()
                if returner.is_resynced or min(returner.ticks.values()) >= what.until:
                    waited = (monotonic() - returner.began) * 1000
                    waits.append(math.inf if returner.is_resynced else waited)
                    selector.unregister(key.fileobj)
    return waits


def _connect(what: Return) -> _Returner:
    began = monotonic()
    sock = socket.create_connection(("127.0.0.1", what.port), SECONDS_MAX)
    sock.sendall(what.request)
    return _Returner(sock, began, {chunk.encode(): what.seen for chunk in what.chunks})
