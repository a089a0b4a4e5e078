"""The lie of the land: hills of rock and lakes, on over the borders, and the gates in those.

Pure. It says what each cell would be by itself. That the floor holds together is the business of
``shard.world.connect``, which never touches a border. Borders, and the rim beyond them, come from
the seed alone; the deeper inside a chunk, the more its generation has a say.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter

import attrs

from common.grid import CHUNK_SIZE
from shard.world.chance import draw
from shard.world.lanes import TOP, Factors, at_least, filled, in_all, lanes, low_bytes, numbers
from shard.world.noise import HEIGHT_MAX, heights

FLOOR, ROCK, WATER = b".#~"

WIDTH = CHUNK_SIZE + 2
CELLS = WIDTH * WIDTH
"""A ground is the chunk and a rim of one cell of its neighbours, row by row: CELLS bytes."""

_ROCK_LEVEL = HEIGHT_MAX * 68 // 100  # What rises above is rock: a sixth of the world.
_LAKE_LEVEL = HEIGHT_MAX * 72 // 100  # Likewise for lakes: a twentieth.
_SEA = _LAKE_LEVEL  # Rock is raised by what its level is lower.
_INSIDE = 8  # This far from the border a chunk's generation alone decides.
_GATE_WIDTH = 3  # Two can pass each other, and one may stand in the way.
_GATE_MARGIN = 4  # Cells between a gate and a corner: from there one cannot see what is open.


def index_of(column: int, line: int) -> int:
    """Return where a ground has the chunk's cell (``column``, ``line``), each from 0."""
    return (line + 1) * WIDTH + column + 1


def lay_out(seed: int, cx: int, cy: int, generation: int) -> bytearray:
    ground = _Relief.of(seed, cx, cy, generation).flooded()
    for index in _gates(seed, cx, cy):
        ground[index] = FLOOR
    for index in _CORNERS:
        ground[index] = ROCK
    return ground


@attrs.frozen
class _Relief:
    """How far rock and water rise, cell by cell as lanes, both above _SEA; how much is due."""

    rock: int
    water: int
    due: int

    @classmethod
    def of(cls, seed: int, cx: int, cy: int, generation: int) -> _Relief:
        def field(name: str, spacing: int) -> int:
            x0, y0 = cx * CHUNK_SIZE - 1, cy * CHUNK_SIZE - 1
            return heights(seed, name, x0, y0, WIDTH, spacing)

        # The numbers were chosen by eye: hills of 10 to 20 cells, lakes a bit wider, rough edges.
        old, young = field("rock", 13), field(f"rock of {generation}", 13)
        hills = (_OUTER.times(old) + _INNER.times(young) >> 2) & _HILL_BITS  # A fourth of both.
        rock = _third(hills + field("rock", 5)) + _ROCK_BELOW
        water = _sixth(5 * field("water", 19) + field("water", 6))
        # 14 to 20 % here, and some more from ruins: the floor keeps about four fifths.
        due = (
            CHUNK_SIZE * CHUNK_SIZE * (140 + draw(seed, 0, "due", cx, cy, generation) % 61) // 1000
        )
        return cls(rock, water, due)

    def flooded(self) -> bytearray:
        """Return the ground, with the levels inside moved until the chunk has what is ``due``."""
        is_rock = at_least(self.rock, self.water, _TOPS)
        highest = self.water ^ ((self.rock ^ self.water) & filled(is_rock))
        level = self._level(numbers(highest, CELLS))
        is_floor = at_least(level * _DEPTH_LANES + _FLOODED_SEA, highest * _INSIDE + _DEEP, _TOPS)
        kinds = is_floor >> 30 | is_rock >> 31
        return bytearray(low_bytes(kinds, CELLS).translate(_KINDS))

    def _level(self, highest: tuple[int, ...]) -> int:
        """Return how high above _SEA is floor, _INSIDE cells from the border: the rest is due."""
        rises: list[int] = [height - _SEA for height in _RINGS[_INSIDE](highest)]
        for depth in range(1, _INSIDE):
            sea = _SEA * _INSIDE
            rises += [(height * _INSIDE - sea) // depth for height in _RINGS[depth](highest)]
        rises.sort(reverse=True)
        return rises[self.due]


def _depth(column: int, line: int) -> int:
    """Return how far a cell is from the border, up to _INSIDE; 0 on it and in the rim."""
    return max(0, min(column, line, CHUNK_SIZE - 1 - column, CHUNK_SIZE - 1 - line, _INSIDE))


_DEPTHS = tuple(
    _depth(column, line) for line in range(-1, WIDTH - 1) for column in range(-1, WIDTH - 1)
)
_DEPTH_LANES = lanes(_DEPTHS)
_OUTER = Factors(_INSIDE - depth for depth in _DEPTHS)
_INNER = Factors(_DEPTHS)
_RINGS = tuple(
    itemgetter(*[index for index, depth in enumerate(_DEPTHS) if depth == wanted])
    for wanted in range(_INSIDE + 1)
)
"""Of each depth, what gets its cells out of a ground's."""

_TOPS = in_all(TOP, CELLS)
_HILL_BITS = in_all((1 << 30) - 1, CELLS)
_THIRD_BITS = in_all((1 << 15) - 1, CELLS)
_SIXTH_BITS = in_all((1 << 16) - 1, CELLS)
_ROCK_BELOW = in_all(_LAKE_LEVEL - _ROCK_LEVEL, CELLS)
_DEEP = in_all(_INSIDE * _INSIDE * _SEA, CELLS)  # So that no lane is negative.
_FLOODED_SEA = _DEEP + in_all(_INSIDE * _SEA, CELLS)
_KINDS = bytes([WATER, ROCK, FLOOR, FLOOR]).ljust(256)


def _third(lanes: int) -> int:
    """Return a third of each lane, rounded down: right below 2^17."""
    return (lanes * 43_691 >> 17) & _THIRD_BITS


def _sixth(lanes: int) -> int:
    """Return a sixth of each lane, rounded down: right below 2^15."""
    return (lanes * 10_923 >> 16) & _SIXTH_BITS


# A boundary stone of 2 x 2 wherever four chunks meet. A floor cell in a corner could be cut off
# from its own chunk's inside, where alone it is allowed to dig.
_CORNERS = tuple(
    index_of(column, line)
    for column in (-1, 0, CHUNK_SIZE - 1, CHUNK_SIZE)
    for line in (-1, 0, CHUNK_SIZE - 1, CHUNK_SIZE)
)


def _gates(seed: int, cx: int, cy: int) -> Iterator[int]:
    """Yield the cells, rim included, that are floor whatever else: each side has its exit."""
    last = CHUNK_SIZE - 1
    for at in _gate(seed, "south", cx, cy - 1):
        yield from (index_of(at, -1), index_of(at, 0))
    for at in _gate(seed, "south", cx, cy):
        yield from (index_of(at, last), index_of(at, last + 1))
    for at in _gate(seed, "east", cx - 1, cy):
        yield from (index_of(-1, at), index_of(0, at))
    for at in _gate(seed, "east", cx, cy):
        yield from (index_of(last, at), index_of(last + 1, at))


def _gate(seed: int, side: str, cx: int, cy: int) -> range:
    """Return where the gate in the ``side`` of the chunk (cx, cy) is, along that side."""
    room = CHUNK_SIZE - 2 * _GATE_MARGIN - _GATE_WIDTH
    start = _GATE_MARGIN + draw(seed, 0, "gate", side, cx, cy) % (room + 1)
    return range(start, start + _GATE_WIDTH)
