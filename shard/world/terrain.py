"""The ground of a chunk: where there is floor, rock and water, and where its borders are open.

Pure: it follows from (seed, chunk, generation) and is remembered, not stored. Along its border a
chunk is what the world's landscape says, whatever its generation, so neighbours agree without
looking at each other. Promises: the floor is one connected piece, and each side has an exit,
a floor cell whose neighbour across the border is floor too. Nobody crosses anywhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import attrs

from common.grid import CHUNK_SIZE, ChunkId, chunk_coordinates
from common.limits import TERRAINS_MAX
from shard.world.connect import connect, floor_of
from shard.world.landscape import FLOOR, WIDTH, index_of, lay_out
from shard.world.ruins import build_ruins

Spot = tuple[int, int]
"""A cell as (x, y), where many are handled: it hashes in a tenth of the time of a Cell."""

STEPS: Mapping[str, Spot] = {"N": (0, -1), "E": (1, 0), "S": (0, 1), "W": (-1, 0)}


@attrs.frozen
class Terrain:
    """``rows`` are strings of ``.`` floor, ``#`` rock, ``~`` water, first the smallest y.

    ``x0`` and ``y0`` are its first cell; ``exits`` has, for each of "NESW", the cells from which
    that step leads over the border, in order of x and y. ``open`` is the floor as path finding
    wants it: one byte a cell, rows of CHUNK_SIZE + 2, a closed rim around.
    """

    x0: int
    y0: int
    rows: tuple[str, ...]
    exits: Mapping[str, tuple[Spot, ...]]
    open: bytes = attrs.field(repr=False)

    def is_floor(self, x: int, y: int) -> bool:
        """Whether (x, y), in the world's coordinates, is floor of this chunk."""
        return self.contains(x, y) and self.rows[y - self.y0][x - self.x0] == "."

    def contains(self, x: int, y: int) -> bool:
        return 0 <= x - self.x0 < CHUNK_SIZE and 0 <= y - self.y0 < CHUNK_SIZE

    def open_but(self, taken: Iterable[Spot]) -> bytearray:
        """Return ``open`` with ``taken`` closed; those of other chunks are passed over."""
        cells = bytearray(self.open)
        for x, y in taken:
            if self.contains(x, y):
                cells[self.index_of(x, y)] = 0
        return cells

    def index_of(self, x: int, y: int) -> int:
        """Return where ``open`` has (x, y)."""
        return index_of(x - self.x0, y - self.y0)

    def spot_at(self, index: int) -> Spot:
        """Return which cell ``open`` has at ``index``."""
        line, column = divmod(index, WIDTH)
        return self.x0 + column - 1, self.y0 + line - 1

    def floor(self) -> list[Spot]:
        """Return every floor cell, row by row."""
        return [
            (self.x0 + column, self.y0 + line)
            for line, row in enumerate(self.rows)
            for column, ground in enumerate(row)
            if ground == "."
        ]


@lru_cache(maxsize=TERRAINS_MAX)
def terrain_of(seed: int, chunk: ChunkId, generation: int) -> Terrain:
    """Return the terrain of ``chunk``: some ms, unless it is remembered."""
    cx, cy = chunk_coordinates(chunk)
    ground = lay_out(seed, cx, cy, generation)
    build_ruins(ground, seed, cx, cy, generation)
    connect(ground)
    x0, y0 = cx * CHUNK_SIZE, cy * CHUNK_SIZE
    return Terrain(x0, y0, _rows(ground), _exits(ground, x0, y0), bytes(floor_of(ground)))


def _rows(ground: bytearray) -> tuple[str, ...]:
    starts = (index_of(0, line) for line in range(CHUNK_SIZE))
    return tuple(ground[start : start + CHUNK_SIZE].decode() for start in starts)


def _exits(ground: bytearray, x0: int, y0: int) -> Mapping[str, tuple[Spot, ...]]:
    return {
        step: tuple(
            (x0 + column, y0 + line)
            for (column, line), here, there in zip(cells, ground[border], ground[rim], strict=True)
            if here == there == FLOOR
        )
        for step, cells, border, rim in _SIDES
    }


_LAST = CHUNK_SIZE - 1


def _side(step: str, cells: Sequence[Spot]) -> tuple[str, Sequence[Spot], slice, slice]:
    """Return ``cells``, all along one border, with their slice of a ground and that beyond."""
    (dx, dy), first, last = STEPS[step], index_of(*cells[0]), index_of(*cells[-1])
    stride, beyond = (last - first) // _LAST, index_of(dx, dy) - index_of(0, 0)
    border = slice(first, last + 1, stride)
    return step, cells, border, slice(first + beyond, last + beyond + 1, stride)


_SIDES = (
    _side("N", [(at, 0) for at in range(CHUNK_SIZE)]),
    _side("E", [(_LAST, at) for at in range(CHUNK_SIZE)]),
    _side("S", [(at, _LAST) for at in range(CHUNK_SIZE)]),
    _side("W", [(0, at) for at in range(CHUNK_SIZE)]),
)
