"""Where things are: cells, chunks, directions, and the slot that a chunk belongs to.

Pure. Coordinates are the world's, integers, y grows downward. A chunk is a square of
``CHUNK_SIZE`` cells a side; its id is ``"cx:cy"``. All routing rests on ``slot_of``:
every process, on every machine and in every release, must give the same answer.
"""

from __future__ import annotations

import enum
import hashlib
from functools import lru_cache
from typing import NewType

import attrs

CHUNK_SIZE = 50

AgentId = NewType("AgentId", str)
ChunkId = NewType("ChunkId", str)
SessionId = NewType("SessionId", str)
CommandId = NewType("CommandId", str)
TransferId = NewType("TransferId", str)
GatewayId = NewType("GatewayId", str)
Slot = NewType("Slot", int)
Tick = NewType("Tick", int)
Epoch = NewType("Epoch", int)


class Direction(enum.Enum):
    """The four ways to step, as (dx, dy)."""

    NORTH = (0, -1)
    EAST = (1, 0)
    SOUTH = (0, 1)
    WEST = (-1, 0)


@attrs.frozen
class Cell:
    x: int
    y: int

    @property
    def chunk(self) -> ChunkId:
        return chunk_id(self.x // CHUNK_SIZE, self.y // CHUNK_SIZE)

    def step(self, direction: Direction) -> Cell:
        dx, dy = direction.value
        return Cell(self.x + dx, self.y + dy)


def chunk_id(cx: int, cy: int) -> ChunkId:
    return ChunkId(f"{cx}:{cy}")


@lru_cache(maxsize=4096)  # The chunks of now: a shard asks in each tick, a gateway at each id.
def chunk_coordinates(chunk: ChunkId) -> tuple[int, int]:
    """Return (cx, cy); ValueError when ``chunk`` is not written as this project writes one."""
    cx_text, _, cy_text = chunk.partition(":")
    cx, cy = int(cx_text), int(cy_text)
    if chunk_id(cx, cy) != chunk:
        raise ValueError(f"not a chunk id: {chunk!r}")
    return cx, cy


def chunk_distance(one: ChunkId, other: ChunkId) -> int:
    """Return how many chunks lie between, diagonals counting as one (Chebyshev)."""
    (ax, ay), (bx, by) = chunk_coordinates(one), chunk_coordinates(other)
    return max(abs(ax - bx), abs(ay - by))


def slot_of(chunk: ChunkId, shard_count: int) -> Slot:
    """Return the slot that owns ``chunk``, by BLAKE2b: hash() is salted per process."""
    digest = hashlib.blake2b(chunk.encode(), digest_size=8).digest()
    return Slot(int.from_bytes(digest, "big") % shard_count)
