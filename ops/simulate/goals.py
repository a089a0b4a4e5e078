"""Where a scripted agent walks to: some steps away, far off, into a rock, or over a border.

It decides nothing about when. A border is where agents are lost or doubled, so they go there often,
and many to the same places of it, where they are in each other's way.
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
MEET_RATE = 0.4  # Of those over a border: to the middle of it.
ROCK_RATE = 0.03  # Where nobody can stand.
NEAR_TRIES = 25  # The nearest of so many cells of a chunk is some steps away.


@attrs.frozen(eq=False)
class Goals:
    _cluster: Cluster
    _dice: random.Random

    def next(self, chunk: ChunkId, here: Position) -> MoveTo:
        """Half of the time some steps away, else perhaps over a border."""
        if self._dice.random() < ROCK_RATE:
            return MoveTo(*self._dice.choice(rock_of(*self._ground(chunk))))
        if self._dice.random() >= FAR_RATE:
            return _nearest(self._some_of(chunk, NEAR_TRIES), here)
        cx, cy = chunk_coordinates(chunk)
        if self._dice.random() < HOP_RATE:
            beside = _beside(cx, cy, here)
            meets = self._dice.random() < MEET_RATE
            return self.just_in(beside, _between(chunk, beside) if meets else here)
        anywhere = chunk_id(*(self._dice.randint(-HOME_CHUNKS, HOME_CHUNKS) for _ in "xy"))
        return _nearest(self._some_of(anywhere, 1), here)

    def just_in(self, chunk: ChunkId, here: Position) -> MoveTo:
        """Return the cell of ``chunk`` that is nearest: where its border is, if it is not ours."""
        return _nearest(self._floor(chunk), here)

    def _some_of(self, chunk: ChunkId, tries: int) -> list[tuple[int, int]]:
        floor = self._floor(chunk)
        return [self._dice.choice(floor) for _ in range(tries)]

    def _floor(self, chunk: ChunkId) -> list[tuple[int, int]]:
        return floor_of(*self._ground(chunk))

    def _ground(self, chunk: ChunkId) -> tuple[int, ChunkId, int]:
        return self._cluster.postgres.world.seed, chunk, self._cluster.generation(chunk)


def _beside(cx: int, cy: int, here: Position) -> ChunkId:
    """Return the chunk beside (``cx``, ``cy``) to whose middle it is not far: so is its border."""
    beside = [(cx - 1, cy), (cx + 1, cy), (cx, cy - 1), (cx, cy + 1)]
    home = [each for each in beside if max(map(abs, each)) <= HOME_CHUNKS]
    return chunk_id(*min(home, key=lambda c: _steps(_middle(*c), here)))


def _middle(cx: int, cy: int) -> tuple[int, int]:
    return cx * CHUNK_SIZE + CHUNK_SIZE // 2, cy * CHUNK_SIZE + CHUNK_SIZE // 2


def _between(chunk: ChunkId, beside: ChunkId) -> Position:
    """Return the middle of the border of the two."""
    (x, y), (other_x, other_y) = (_middle(*chunk_coordinates(each)) for each in (chunk, beside))
    return Position((x + other_x) // 2, (y + other_y) // 2)


def _nearest(cells: list[tuple[int, int]], here: Position) -> MoveTo:
    return MoveTo(*min(cells, key=lambda cell: _steps(cell, here)))


def _steps(cell: tuple[int, int], here: Position) -> int:
    return abs(cell[0] - here.x) + abs(cell[1] - here.y)


@lru_cache(maxsize=256)
def floor_of(seed: int, chunk: ChunkId, generation: int) -> list[tuple[int, int]]:
    return terrain_of(seed, chunk, generation).floor()


@lru_cache(maxsize=256)
def rock_of(seed: int, chunk: ChunkId, generation: int) -> list[tuple[int, int]]:
    """Return all cells of ``chunk`` on which nobody can stand."""
    floor = set(floor_of(seed, chunk, generation))
    left, top = (each * CHUNK_SIZE for each in chunk_coordinates(chunk))
    cells = [(left + x, top + y) for x in range(CHUNK_SIZE) for y in range(CHUNK_SIZE)]
    return [cell for cell in cells if cell not in floor]
