"""What came over the wire to one reader, and whether the protocol allows it."""

from __future__ import annotations

import json
from typing import Any

import attrs

from common.grid import ChunkId
from gateway.stream.position import decode


def unchunked(data: bytes) -> tuple[bytes, bool]:
    """Return the body of what came after the head so far, and whether it has ended."""
    body = b""
    while data:
        size_text, separator, rest = data.partition(b"\r\n")
        if not separator:
            break
        size = int(size_text, 16)
        if size == 0:
            assert rest == b"\r\n", "nothing comes after the last chunk"
            return body, True
        if len(rest) < size + 2:
            break
        assert rest[size : size + 2] == b"\r\n"
        body, data = body + rest[:size], rest[size + 2 :]
    return body, False


@attrs.define
class Witness:
    """Reads one stream of ``chunks``, and fails on a gap, a double, or an id that says too much."""

    chunks: tuple[ChunkId, ...]
    ticks: dict[ChunkId, int] = attrs.field(factory=dict)
    deltas: int = 0
    resyncs: list[str] = attrs.field(factory=list)
    comments: int = 0
    has_ended: bool = False
    _announced: set[ChunkId] = attrs.field(factory=set)

    def read(self, data: bytes) -> None:
        """``data``: everything that came."""
        head, _, rest = data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"\r\ntransfer-encoding: chunked\r\n" in head + b"\r\n"
        body, self.has_ended = unchunked(rest)
        *blocks, last = body.decode().split("\n\n")
        assert last.replace(":\n", "") == "", "a chunk holds whole events"
        self._announced = set(self.chunks)
        for block in blocks:
            self._see(block)

    def _see(self, block: str) -> None:
        lines = block.split("\n")
        self.comments += lines.count(":")
        fields = dict(line.split(": ", 1) for line in lines if ": " in line)
        event, data = fields["event"], json.loads(fields["data"])
        if event == "resync":
            self.resyncs.append(data["reason"])
            chunk = data.get("chunk")
            self._announced |= {chunk} if chunk is not None else set(self.chunks)
        elif event == "chunk_static":
            assert data["chunk"] in self._announced, "a second static is announced"
            self._announced.discard(data["chunk"])
            self.ticks[data["chunk"]] = data["tick"]
        elif event == "chunk_delta":
            self._follow(data)
        if event.startswith("chunk_"):
            self._check_id(fields["id"])

    def _follow(self, delta: dict[str, Any]) -> None:
        known = self.ticks[delta["chunk"]]
        assert delta["prev_tick"] <= known, f"nothing between {known} and {delta['prev_tick']}"
        assert known < delta["tick"], f"{delta['tick']} came twice"
        self.ticks[delta["chunk"]] = delta["tick"]
        self.deltas += 1

    def _check_id(self, id: str) -> None:
        position = decode(id)
        assert position is not None
        assert {chunk: mark.tick for chunk, mark in position.items()} == self.ticks
