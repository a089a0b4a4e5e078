"""Ruins: rooms with thin walls and doors, built on the ground of a chunk.

Pure. They keep away from the border, so they may differ from generation to generation. Doors
look like ways in, but that every room can be reached is the business of ``shard.world.connect``.
"""

from __future__ import annotations

import attrs

from common.grid import CHUNK_SIZE
from shard.world.chance import draw
from shard.world.landscape import FLOOR, ROCK, index_of

_ROOMS_MAX = 3
_SIDE_MIN, _SIDE_MAX = 6, 13
_MARGIN = 3  # From the border, so that nobody who comes in stands before a wall.


@attrs.frozen
class _Room:
    column: int
    line: int
    width: int
    height: int

    def walls(self) -> list[int]:
        """Return the cells of its walls, once round, corners included."""
        right, bottom = self.column + self.width - 1, self.line + self.height - 1
        return [
            *(index_of(column, self.line) for column in range(self.column, right)),
            *(index_of(right, line) for line in range(self.line, bottom)),
            *(index_of(column, bottom) for column in range(right, self.column, -1)),
            *(index_of(self.column, line) for line in range(bottom, self.line, -1)),
        ]


def build_ruins(ground: bytearray, seed: int, cx: int, cy: int, generation: int) -> None:
    """Build up to three ruins where there is floor; hills and lakes stay as they are."""
    lot = draw(seed, 0, "ruins", cx, cy, generation)
    for number in range(lot % (_ROOMS_MAX + 1)):
        dice = draw(seed, 0, "ruin", cx, cy, generation, number)
        _build(ground, _room(dice), dice >> 32)


def _room(dice: int) -> _Room:
    sides = _SIDE_MAX - _SIDE_MIN + 1
    width, height = _SIDE_MIN + dice % sides, _SIDE_MIN + (dice >> 8) % sides
    room = CHUNK_SIZE - 2 * _MARGIN + 1
    return _Room(
        _MARGIN + (dice >> 16) % (room - width),
        _MARGIN + (dice >> 24) % (room - height),
        width,
        height,
    )


def _build(ground: bytearray, room: _Room, dice: int) -> None:
    walls = room.walls()
    doors = _doors(len(walls), dice)
    for place, index in enumerate(walls):
        if ground[index] == FLOOR and place not in doors:
            ground[index] = ROCK


def _doors(length: int, dice: int) -> frozenset[int]:
    """Return the places along a wall of ``length`` that are open: three gaps of two cells."""
    start = dice % length
    gaps = (start, start + length // 3, start + 2 * length // 3)
    return frozenset((gap + width) % length for gap in gaps for width in range(2))
