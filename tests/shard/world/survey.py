"""Look at many chunks' ground: what has to hold for each, by means of our own.

A file of its own, so that other processes can do a share of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from common.grid import CHUNK_SIZE, chunk_id
from shard.world.terrain import Terrain, terrain_of

WIDTH = CHUNK_SIZE + 1  # A closed cell between two rows: what is shifted over an end is lost.


def survey(numbers: Iterable[int]) -> list[float]:
    """Check the chunks of these numbers; return the share of floor of each."""
    shares = []
    for number in numbers:
        terrain = terrain_of(11, chunk_id(number % 101 - 50, number // 101 - 50), 1 + number % 3)
        rows = terrain.rows
        assert len(rows) == CHUNK_SIZE
        assert {len(row) for row in rows} == {CHUNK_SIZE}
        assert set("".join(rows)) <= set(".#~")
        assert all(len(terrain.exits[step]) >= 3 for step in "NESW")
        assert is_one_piece(terrain), f"chunk {number} falls apart"
        shares.append(sum(row.count(".") for row in rows) / CHUNK_SIZE**2)
    return shares


def is_one_piece(terrain: Terrain) -> bool:
    """Flood the floor from its first cell, all cells at once: each is a bit."""
    cells = "#".join(terrain.rows)
    floor = int("".join("1" if ground == "." else "0" for ground in cells), 2)
    flooded, grown = 0, floor & -floor
    while grown != flooded:
        flooded = grown
        spread = flooded << 1 | flooded >> 1 | flooded << WIDTH | flooded >> WIDTH
        grown = (flooded | spread) & floor
    return flooded == floor
