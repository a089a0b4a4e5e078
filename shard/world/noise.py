"""Noise: heights that are smooth from chunk to chunk, the same wherever they are asked from.

Pure, integers only, so that no machine rounds differently. Value noise: drawn heights at the
points of a coarse lattice over the whole world, and smooth slopes between them. A row of heights
is one large integer with a lane of 32 bits for each, so that a slope takes two multiplications
a row: of all that makes a chunk, there is the most of this.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache

from shard.world.chance import draw_grid

HEIGHT_BITS = 12
HEIGHT_MAX = 1 << HEIGHT_BITS
_SLOPE_BITS = 8
_SLOPE = 1 << _SLOPE_BITS
_LANE_BYTES = 4  # The product of a height and a slope fits, and what it is shifted by.


def heights(seed: int, name: str, x0: int, y0: int, size: int, spacing: int) -> Sequence[int]:
    """Return the heights named ``name`` of the square of ``size`` cells whose corner is (x0, y0).

    Row by row, smallest y first, each from 0 to HEIGHT_MAX. ``spacing`` is the distance of the
    lattice's points: hills are about that wide.
    """
    across, down = _slope(x0 % spacing, size, spacing), _slope(y0 % spacing, size, spacing)
    xs = _points(x0 // spacing, across)
    ys = _points(y0 // spacing, down)
    lattice = draw_grid(seed, 0, (name, spacing), xs, ys)
    bands = [_stretch([drawn >> (64 - HEIGHT_BITS) for drawn in row], across) for row in lattice]
    low_bits = _lanes([HEIGHT_MAX - 1] * size)
    width = size * _LANE_BYTES
    rows = [
        (
            (bands[index] * (_SLOPE - part) + bands[index + 1] * part >> _SLOPE_BITS) & low_bits
        ).to_bytes(width, "little")
        for index, part in down
    ]
    return struct.unpack(f"<{size * size}I", b"".join(rows))


def _points(first: int, slope: Sequence[tuple[int, int]]) -> range:
    """Return the lattice's points that ``slope`` lies between."""
    return range(first, first + slope[-1][0] + 2)


@cache
def _slope(start: int, size: int, spacing: int) -> Sequence[tuple[int, int]]:
    """Return for each cell the lattice point before it, and how far on it is, in 256ths.

    ``start`` is less than ``spacing``, so there are few to remember.
    """
    return [(at // spacing, _ease(at % spacing, spacing)) for at in range(start, start + size)]


def _ease(step: int, spacing: int) -> int:
    """Return 3t^2 - 2t^3 for t = step / spacing: level at both ends, so no edges show."""
    return (step * step * (3 * spacing - 2 * step) << _SLOPE_BITS) // spacing**3


def _stretch(row: Sequence[int], slope: Sequence[tuple[int, int]]) -> int:
    return _lanes(
        [
            row[index] + ((row[index + 1] - row[index]) * part >> _SLOPE_BITS)
            for index, part in slope
        ]
    )


def _lanes(numbers: Sequence[int]) -> int:
    return int.from_bytes(struct.pack(f"<{len(numbers)}I", *numbers), "little")
