"""The order in which a newcomer looks for room: round and round the chunk it was sent to.

Pure. A message names only the chunk that it is for and how many it has seen; the rest follows.
"""

from __future__ import annotations

import attrs

from common.envelopes import Attach
from common.grid import ChunkId, chunk_coordinates, chunk_id
from common.limits import SPAWN_CHUNKS_MAX


def onward(attach: Attach) -> Attach | None:
    """Return ``attach`` for the next chunk to look for room in; None when its way ends here.

    Only a newcomer is sent round: who stood somewhere wants to stand there again.
    """
    if attach.at is not None or attach.hops + 1 >= SPAWN_CHUNKS_MAX:
        return None
    return attrs.evolve(attach, chunk=next_chunk(attach.chunk, attach.hops), hops=attach.hops + 1)


def next_chunk(chunk: ChunkId, seen: int) -> ChunkId:
    """Return the chunk to try after ``chunk``, which is number ``seen`` of its spiral, from 0."""
    (cx, cy), (ax, ay), (bx, by) = chunk_coordinates(chunk), _offset(seen), _offset(seen + 1)
    return chunk_id(cx - ax + bx, cy - ay + by)


def _offset(number: int) -> tuple[int, int]:
    """Return how far number ``number`` lies from the middle of a square spiral."""
    x = y = 0
    dx, dy, side, left = 1, 0, 1, 1
    for _ in range(number):
        x, y, left = x + dx, y + dy, left - 1
        if left == 0:
            dx, dy = -dy, dx
            side += 1 if dy == 0 else 0  # Every second side is one longer.
            left = side
    return x, y


def middle(chunk: ChunkId, seen: int) -> ChunkId:
    """Return where the spiral began of which ``chunk`` is number ``seen``."""
    (cx, cy), (ax, ay) = chunk_coordinates(chunk), _offset(seen)
    return chunk_id(cx - ax, cy - ay)
