"""How lines are written: as server-sent events, or as text frames of a WebSocket.

They decide nothing and keep nothing. A write waits as long as the connection does; the caller
bounds that. JSON that was encoded once is spliced in, never taken apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs
from hypercorn.typing import ASGISendCallable

from common.refusals import CloseCode
from gateway.stream.reader import Ending
from gateway.stream.telling import Line

SSE_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    # What is public and read-only may be watched from any page.
    (b"access-control-allow-origin", b"*"),
]


COMMENT = b":\n"


class Pen(Protocol):
    async def open(self) -> None: ...

    async def write(self, lines: Sequence[Line]) -> None: ...

    async def beat(self) -> None:
        """Write what keeps a silent connection open."""

    async def close(self, ending: Ending) -> None: ...


_FIRST = b"retry: 1000\n"


@attrs.define
class EventStream:
    """https://html.spec.whatwg.org/multipage/server-sent-events.html"""

    _send: ASGISendCallable
    _trace_id: str
    _first: bytes = attrs.field(default=_FIRST, init=False)
    """A part of the first event: some clients take a blank line for the end of an empty one."""

    async def open(self) -> None:
        headers = [*SSE_HEADERS, (b"x-trace-id", self._trace_id.encode())]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def write(self, lines: Sequence[Line]) -> None:
        first, self._first = self._first, b""
        await self._body(b"".join([first, *map(as_event, lines)]))

    async def beat(self) -> None:
        await self._body(COMMENT)

    async def close(self, ending: Ending) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _body(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": True})


@attrs.frozen
class Frames:
    """The same as text frames ``{"event", "id"?, "data"}``; the server pings by itself."""

    _send: ASGISendCallable
    _trace_id: str

    async def open(self) -> None:
        headers = [(b"x-trace-id", self._trace_id.encode())]
        await self._send({"type": "websocket.accept", "subprotocol": None, "headers": headers})

    async def write(self, lines: Sequence[Line]) -> None:
        for line in lines:
            await self._send({"type": "websocket.send", "bytes": None, "text": as_frame(line)})

    async def beat(self) -> None:
        pass

    async def close(self, ending: Ending) -> None:
        slow = ending is Ending.TOO_SLOW
        code = CloseCode.TOO_SLOW if slow else CloseCode.RESTARTING
        await self._send({"type": "websocket.close", "code": int(code), "reason": ending.value})


def as_event(line: Line) -> bytes:
    id = b"" if line.id is None else b"id: %b\n" % line.id.encode()
    return b"event: %b\n%bdata: %b\n\n" % (line.event.encode(), id, line.data)


def as_frame(line: Line) -> str:
    id = "" if line.id is None else f'"id":"{line.id}",'
    return f'{{"event":"{line.event}",{id}"data":{line.data.decode()}}}'
