"""Where a scripted agent walks to: some steps away, far off, or just over a border.

It decides nothing about when. A border is where agents are lost or doubled, so they go there often.
"""

from __future__ import annotations

import random
from functools import lru_cache

import attrs

from common.commands import MoveTo
from common.frames import Position
from common.grid import CHUNK_SIZE, ChunkId, chunk_coordinates, chunk_id
from ops.simulate.cluster import Cluster
from shard.world.terrain import terrain_of

HOME_CHUNKS = 1  # They stay this near to the first chunk, so that they meet and cross borders.
FAR_RATE = 0.5
HOP_RATE = 0.6  # Of the far walks: just over the nearest border.
NEAR_TRIES = 25  # The nearest of so many cells of a chunk is some steps away.


@attrs.frozen(eq=False)
class Goals:
    _cluster: Cluster
    _dice: random.Random

    def next(self, chunk: ChunkId, here: Position) -> MoveTo:
        """Half of the time some steps away, else perhaps over a border."""
        if self._dice.random() >= FAR_RATE:
            return _nearest(self._some_of(chunk, NEAR_TRIES), here)
        cx, cy = chunk_coordinates(chunk)
        if self._dice.random() < HOP_RATE:
            return self.just_in(_beside(cx, cy, here), here)
        return _nearest(self._some_of(chunk_id(self._near(cx), self._near(cy)), 1), here)

    def just_in(self, chunk: ChunkId, here: Position) -> MoveTo:
        """Return the cell of ``chunk`` that is nearest: where its border is, if it is not ours."""
        return _nearest(self._floor(chunk), here)

    def _some_of(self, chunk: ChunkId, tries: int) -> list[tuple[int, int]]:
        floor = self._floor(chunk)
        return [self._dice.choice(floor) for _ in range(tries)]

    def _floor(self, chunk: ChunkId) -> list[tuple[int, int]]:
        seed = self._cluster.postgres.world.seed
        return floor_of(seed, chunk, self._cluster.generation(chunk))

    def _near(self, coordinate: int) -> int:
        moved = coordinate + self._dice.choice((-1, 0, 1))
        return max(-HOME_CHUNKS, min(HOME_CHUNKS, moved))


def _beside(cx: int, cy: int, here: Position) -> ChunkId:
    """Return the chunk beside (``cx``, ``cy``) to whose middle it is not far: so is its border."""
    beside = [(cx - 1, cy), (cx + 1, cy), (cx, cy - 1), (cx, cy + 1)]
    home = [each for each in beside if max(map(abs, each)) <= HOME_CHUNKS]
    half = CHUNK_SIZE // 2
    return chunk_id(
        *min(home, key=lambda c: _steps((c[0] * CHUNK_SIZE + half, c[1] * CHUNK_SIZE + half), here))
    )


def _nearest(cells: list[tuple[int, int]], here: Position) -> MoveTo:
    return MoveTo(*min(cells, key=lambda cell: _steps(cell, here)))


def _steps(cell: tuple[int, int], here: Position) -> int:
    return abs(cell[0] - here.x) + abs(cell[1] - here.y)


@lru_cache(maxsize=256)
def floor_of(seed: int, chunk: ChunkId, generation: int) -> list[tuple[int, int]]:
    return terrain_of(seed, chunk, generation).floor()
