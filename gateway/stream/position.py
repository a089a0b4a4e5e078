"""The ``id:`` of a spectator's event: how far each chunk of the view has been sent.

Pure. ``1.<base>.<cx>~<cy>~<generation>~<offset>...`` in decimal, a part for each chunk of which
something was sent, tick = base + offset. It holds all that any gateway needs to go on from there,
in characters that are safe in a header, in a URL and in an event stream. It is no secret, and
proves nothing: at worst a client that makes one up is shown a chunk anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import attrs

from common.grid import ChunkId, Tick, chunk_coordinates
from common.limits import CHUNKS_PER_VIEW_MAX


@attrs.frozen
class Mark:
    """What was sent of a chunk: everything up to ``tick``, of ``generation``."""

    generation: int
    tick: Tick


Position = Mapping[ChunkId, Mark]
"""Of the chunks of which something was sent; the others are not in it."""

# Sixteen digits are more than any counter here reaches, and bound what a client can make us parse.
_PART = r"-?\d{1,16}~-?\d{1,16}~\d{1,16}~\d{1,16}"
_SHAPE = re.compile(rf"1\.(\d{{1,16}})((?:\.{_PART}){{1,{CHUNKS_PER_VIEW_MAX}}})", re.ASCII)


def encode(position: Position) -> str:
    """Return the id of a ``position`` with at least one chunk."""
    base = min(mark.tick for mark in position.values())
    parts = [
        f"{chunk.replace(':', '~')}~{mark.generation}~{mark.tick - base}"
        for chunk, mark in position.items()
    ]
    return f"1.{base}.{'.'.join(parts)}"


def ids_of(position: Position, chunk: ChunkId, ticks: Iterable[Tick]) -> Iterator[str]:
    """Yield the id of ``position`` with ``chunk``, which is in it, at each of ``ticks`` in turn.

    As ``encode``, but what was missed of a view of 25 chunks has thousands of them.
    """
    generation = position[chunk].generation
    others = [mark.tick for other, mark in position.items() if other != chunk]
    part = f".{chunk.replace(':', '~')}~{generation}~"
    if not others:
        yield from (f"1.{tick}{part}0" for tick in ticks)
        return
    base = min(others)
    head, _, tail = encode({**position, chunk: Mark(generation, base)}).partition(f"{part}0")
    for tick in ticks:
        if tick >= base:
            yield f"{head}{part}{tick - base}{tail}"
        else:
            yield encode({**position, chunk: Mark(generation, tick)})


def decode(text: str) -> Position | None:
    """Return what ``text`` says, or None when it is no id that ``encode`` could have made."""
    match = _SHAPE.fullmatch(text)
    if match is None:
        return None
    base = int(match[1])
    position: dict[ChunkId, Mark] = {}
    for part in match[2][1:].split("."):
        cx, cy, generation, offset = part.split("~")
        position[ChunkId(f"{cx}:{cy}")] = Mark(int(generation), Tick(base + int(offset)))
    # Leading zeros, a chunk twice, a base that is no chunk's tick: not ours.
    return position if encode(position) == text and all(map(_is_chunk, position)) else None


def _is_chunk(chunk: ChunkId) -> bool:
    try:
        chunk_coordinates(chunk)
    except ValueError:
        return False
    return True
