"""What a spectator asks for: which chunks, and from where on.

Pure. A view lists each chunk once (naming one twice is refused: which of the two would its
events belong to?). Query parameters that the protocol does not name are passed over, as is usual
for URLs. A ``Last-Event-ID`` header is newer than the URL's ``last_event_id``, so it wins.
"""

from __future__ import annotations

from urllib.parse import parse_qs

import attrs

from common.grid import CHUNK_SIZE, ChunkId, chunk_coordinates
from common.limits import CHUNKS_PER_VIEW_MAX, COORDINATE_MAX
from common.wire import Fault
from gateway.stream.position import Position, decode

_FIRST = -COORDINATE_MAX // CHUNK_SIZE
_LAST = COORDINATE_MAX // CHUNK_SIZE


@attrs.frozen
class View:
    """``came_back``: with an id. ``position`` is what that said, None when it was not ours."""

    chunks: tuple[ChunkId, ...]
    came_back: bool = False
    position: Position | None = attrs.field(factory=dict)


def read_view(query: bytes, last_event_id: str = "") -> View | tuple[Fault, ...]:
    """Return the view that a query string asks for, or what is wrong with it."""
    fields = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    listed = fields.get("chunks", [])
    if len(listed) != 1:
        return (Fault("chunks", "give it once, with 1 to 25 chunk ids: chunks=0:0,1:0"),)
    names = listed[0].split(",")
    if not listed[0] or len(names) > CHUNKS_PER_VIEW_MAX:
        return (Fault("chunks", f"1 to {CHUNKS_PER_VIEW_MAX} chunk ids, with commas between"),)
    faults = tuple(
        Fault(f"chunks[{index}]", fault)
        for index, name in enumerate(names)
        if (fault := _fault(name, names[:index]))
    )
    if faults:
        return faults
    chunks = tuple(map(ChunkId, names))
    last = last_event_id or fields.get("last_event_id", [""])[-1]
    if not last:
        return View(chunks)
    known = decode(last)
    if known is None:
        return View(chunks, came_back=True, position=None)
    position = {chunk: known[chunk] for chunk in chunks if chunk in known}
    return View(chunks, came_back=True, position=position)


def _fault(name: str, before: list[str]) -> str | None:
    try:
        cx, cy = chunk_coordinates(ChunkId(name))
    except ValueError:
        return "not a chunk id: two integers with a colon between, as in 0:0 or -3:12"
    if not (_FIRST <= cx <= _LAST and _FIRST <= cy <= _LAST):
        return "beyond the end of the world"
    return "listed twice" if name in before else None
