"""Look at many chunks' ground: what has to hold for each, by means of our own.

A file of its own, so that other processes can do a share of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from common.grid import CHUNK_SIZE, chunk_id
from shard.world.terrain import Terrain, terrain_of

ACROSS = 101  # Chunks in a row of those that are numbered.
WIDTH = CHUNK_SIZE + 1  # A closed cell between two rows: what is shifted over an end is lost.


@attrs.frozen
class Seen:
    """A chunk that was looked at. Of each side: where along it is floor, and where an exit."""

    number: int
    floor: float
    edges: Mapping[str, frozenset[int]]
    exits: Mapping[str, frozenset[int]]


def survey(numbers: Iterable[int]) -> list[Seen]:
    """Check the chunks of these numbers, each by itself."""
    seen = []
    for number in numbers:
        chunk = chunk_id(number % ACROSS - 50, number // ACROSS - 50)
        terrain = terrain_of(11, chunk, 1 + number % 3)
        rows = terrain.rows
        assert len(rows) == CHUNK_SIZE
        assert {len(row) for row in rows} == {CHUNK_SIZE}
        assert set("".join(rows)) <= set(".#~")
        assert all(len(terrain.exits[step]) >= 3 for step in "NESW")
        assert is_one_piece(terrain), f"chunk {number} falls apart"
        floor = sum(row.count(".") for row in rows) / CHUNK_SIZE**2
        seen.append(Seen(number, floor, _edges(rows), _exits(terrain)))
    return seen


def disagreements(seen: Iterable[Seen]) -> tuple[int, list[tuple[int, int]]]:
    """Return how many pairs of neighbours there are, and those that do not fit.

    One can step over wherever there is floor on both sides, and nowhere else.
    """
    by_number = {one.number: one for one in seen}
    pairs = [
        (one, by_number[beside], here, there)
        for one in by_number.values()
        for beside, here, there in (
            (one.number + 1, "E", "W"), (one.number + ACROSS, "S", "N")
        )
        if beside in by_number and (here == "S" or beside % ACROSS)
    ]  # fmt: skip
    unlike = [
        (one.number, other.number)
        for one, other, here, there in pairs
        if not one.exits[here] == other.exits[there] == one.edges[here] & other.edges[there]
    ]
    return len(pairs), unlike


def _edges(rows: Sequence[str]) -> Mapping[str, frozenset[int]]:
    columns = ["".join(column) for column in zip(*rows, strict=True)]
    sides = {"N": rows[0], "S": rows[-1], "W": columns[0], "E": columns[-1]}
    return {
        step: frozenset(at for at, ground in enumerate(side) if ground == ".")
        for step, side in sides.items()
    }


def _exits(terrain: Terrain) -> Mapping[str, frozenset[int]]:
    return {
        step: frozenset(x - terrain.x0 if step in "NS" else y - terrain.y0 for x, y in spots)
        for step, spots in terrain.exits.items()
    }


def is_one_piece(terrain: Terrain) -> bool:
    """Flood the floor from its first cell, all cells at once: each is a bit."""
    cells = "#".join(terrain.rows)
    floor = int(cells.translate(str.maketrans(".#~", "100")), 2)
    flooded, grown = 0, floor & -floor
    while grown != flooded:
        flooded = grown
        spread = flooded << 1 | flooded >> 1 | flooded << WIDTH | flooded >> WIDTH
        grown = (flooded | spread) & floor
    return flooded == floor
