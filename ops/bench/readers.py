"""Thousands of readers of one event stream in a process: they count, and time a sample.

Run as ``python -m ops.bench.readers PORT PATH COUNT SECONDS``: COUNT connect, spread over SECONDS.
A line on its standard input is answered by one of JSON (``Report``) on what came since the last.
It does as little as it can for an event: on a machine of two cores the load is part of the
figure. With ``--still`` they read nothing but the first kilobyte, and have little room. A PATH that
ends with ``/ws``, before its query, is that of WebSockets.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
from collections.abc import Iterator
from time import monotonic, monotonic_ns
from typing import NoReturn

import attrs

SAID_AT = re.compile(rb"@(\d+)@")
"""The monotonic clock, in nanoseconds, is the same in all processes of a machine."""
SAMPLE_EVERY = 13  # Reads; a prime, so that it is not always the same readers.
READ_BYTES = 256 * 1024
SMALL_BUFFER_BYTES = 4096
STEP_SECONDS = 0.005
CONNECTS_AT_ONCE = 20  # Then it looks whether something came meanwhile.


@attrs.define
class Report:
    """``waits_ms``: from publication to reading, of a sample. The others since connecting."""

    events: int = 0
    waits_ms: list[float] = attrs.field(factory=list)
    connected: int = 0
    lost: int = 0
    first_event_s: float = 0.0
    """The longest that any had to wait for its first event, from its own connecting."""
    first_static_s: float = 0.0
    first_events: int = 0
    first_statics: int = 0


@attrs.frozen
class Medium:
    """How it is asked for, and what is looked for in what comes; no frame is taken apart."""

    upgrade: str
    event: bytes
    """Once in each event, whole."""
    first: bytes
    static: bytes
    """Of a static or a delta."""


SSE = Medium("Accept: text/event-stream\r\n", b"\n\n", b"event:", b"event: chunk_")
WEBSOCKET = Medium(
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    b'{"event":',
    b'{"event":',
    b'{"event":"chunk_',
)


@attrs.define(eq=False)
class _Reader:
    sock: socket.socket
    began: float
    asked: bool = False
    head: bytes | None = b""
    """What came until the first static; None from then on."""
    seen: bool = False
    last: bytes = b""
    """The end of what was read, which may be the beginning of an ``event`` mark."""


@attrs.define(eq=False)
class Readers:
    _port: int
    _path: str
    _count: int
    _seconds: float
    _still: bool
    _epoll: select.epoll = attrs.field(factory=lambda: select.epoll(), init=False)
    _readers: dict[int, _Reader] = attrs.field(factory=dict, init=False)
    _report: Report = attrs.field(factory=Report, init=False)
    _medium: Medium = attrs.field(init=False)
    _request: bytes = attrs.field(init=False)
    _reads: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._medium = WEBSOCKET if self._path.partition("?")[0].endswith("/ws") else SSE
        head = f"GET {self._path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
        self._request = f"{head}{self._medium.upgrade}\r\n".encode()

    def run(self) -> NoReturn:
        self._epoll.register(sys.stdin, select.EPOLLIN)
        arrivals = self._arrivals()
        while True:
            for fd, _ in self._epoll.poll(next(arrivals, -1)):
                if fd == sys.stdin.fileno():
                    self._answer()
                elif fd in self._readers:
                    self._handle(fd, self._readers[fd])

    def _arrivals(self) -> Iterator[float]:
        """Connect all, and say in between how long there is time for something else."""
        began = monotonic()
        for number in range(self._count):
            while monotonic() < began + self._seconds * number / self._count:
                yield STEP_SECONDS
            self._connect()
            if number % CONNECTS_AT_ONCE == 0:
                yield 0.0

    def _connect(self) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        if self._still:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
        sock.connect_ex(("127.0.0.1", self._port))
        self._epoll.register(sock, select.EPOLLOUT)
        self._readers[sock.fileno()] = _Reader(sock, monotonic())

    def _handle(self, fd: int, reader: _Reader) -> None:
        try:
            if reader.asked:
                self._read(fd, reader)
                return
            reader.sock.send(self._request)
        except BlockingIOError:
            return
        except OSError:
            self._lose(fd)
            return
        reader.asked = True
        self._report.connected += 1
        self._epoll.modify(fd, select.EPOLLIN)

    def _read(self, fd: int, reader: _Reader) -> None:
        data = reader.sock.recv(1024 if self._still else READ_BYTES)
        if not data:
            self._lose(fd)
            return
        if reader.head is not None:
            self._begin(reader, data)
            if self._still and reader.seen:
                self._epoll.unregister(fd)
        mark = self._medium.event  # It may come in two pieces.
        self._report.events += (reader.last + data).count(mark)
        reader.last = (reader.last + data)[1 - len(mark) :]
        self._reads += 1
        if self._reads % SAMPLE_EVERY == 0:
            for at in SAID_AT.findall(data):
                self._report.waits_ms.append((monotonic_ns() - int(at)) / 1e6)

    def _begin(self, reader: _Reader, data: bytes) -> None:
        assert reader.head is not None
        report, seconds = self._report, monotonic() - reader.began
        reader.head += data
        if not reader.seen and self._medium.first in reader.head:
            reader.seen = True
            report.first_events += 1
            report.first_event_s = max(report.first_event_s, seconds)
        if self._medium.static in reader.head:
            reader.head = None
            report.first_statics += 1
            report.first_static_s = max(report.first_static_s, seconds)

    def _lose(self, fd: int) -> None:
        self._readers.pop(fd).sock.close()
        self._report.lost += 1

    def _answer(self) -> None:
        if not sys.stdin.readline():
            sys.exit(0)
        print(json.dumps(attrs.asdict(self._report)), flush=True)
        self._report.events = 0
        self._report.waits_ms.clear()


if __name__ == "__main__":
    port, path, count, seconds, *more = sys.argv[1:]
    Readers(int(port), path, int(count), float(seconds), "--still" in more).run()
