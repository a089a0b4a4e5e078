"""An event stream as it comes over a connection, whatever its pieces: also one that is cut off.

Pure. It reads what our gateway writes (https://www.rfc-editor.org/rfc/rfc9112 in chunks, and
https://html.spec.whatwg.org/multipage/server-sent-events.html with one data line an event), for
tests and proofs; ``ops.client`` has a client for everybody.
"""

from __future__ import annotations

import codecs

import attrs


@attrs.define
class Body:
    """An HTTP/1.1 answer in chunks: whatever has come of its text, piece by piece."""

    _rest: bytes = b""
    status: int | None = None
    """None until its head is there."""
    _left: int = 0
    """Bytes of the chunk that is being read, with the line end after it."""
    _decoder: codecs.IncrementalDecoder = attrs.field(
        factory=codecs.getincrementaldecoder("utf-8"), init=False
    )

    def read(self, data: bytes) -> str:
        self._rest += data
        if self.status is None and not self._begin():
            return ""
        text = b""
        while self._rest and (self._left or self._begin_chunk()):
            piece, self._rest = self._rest[: self._left], self._rest[self._left :]
            text += piece[: max(0, self._left - 2)]
            self._left -= len(piece)
        return self._decoder.decode(text)

    def _begin(self) -> bool:
        head, end, rest = self._rest.partition(b"\r\n\r\n")
        if end:
            self.status, self._rest = int(head.split(b" ", 2)[1]), rest
        return bool(end)

    def _begin_chunk(self) -> bool:
        size, end, rest = self._rest.partition(b"\r\n")
        if not end:
            return False
        self._rest, self._left = rest, int(size, 16) + 2
        return self._left > 2  # Else it was the last.


@attrs.define
class Events:
    _rest: str = ""

    def read(self, text: str) -> list[tuple[str, str]]:
        """Return the ids and the data of the events that are complete by now."""
        *events, self._rest = (self._rest + text).split("\n\n")
        read = []
        for event in events:
            fields = dict(line.split(": ", 1) for line in event.split("\n") if ": " in line)
            if "data" in fields:
                read.append((fields.get("id", ""), fields["data"]))
        return read


def read_frame_event(text: str) -> tuple[str, str]:
    """Return the same of a frame of the WebSocket fallback: its data as it was sent."""
    head, _, data = text.removesuffix("}").partition('"data":')
    _, _, id = head.partition('"id":"')
    return id.partition('"')[0], data
