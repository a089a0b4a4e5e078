"""Noise: heights that are smooth from chunk to chunk, the same wherever they are asked from.

Pure, integers only, so that no machine rounds differently. Value noise: drawn heights at the
points of a coarse lattice over the whole world, and smooth slopes between them. All heights of a
row are reckoned at once (``shard.world.lanes``): of all that makes a chunk, there is the most of
this.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from shard.world.chance import draw_grid
from shard.world.lanes import LANE_BYTES, in_all, lanes

HEIGHT_BITS = 12
HEIGHT_MAX = 1 << HEIGHT_BITS
_SLOPE_BITS = 8
_SLOPE = 1 << _SLOPE_BITS


def heights(seed: int, name: str, x0: int, y0: int, size: int, spacing: int) -> int:
    """Return the heights named ``name`` of the square of ``size`` cells whose corner is (x0, y0).

    As lanes, row by row, smallest y first, each from 0 to HEIGHT_MAX. ``spacing`` is the distance
    of the lattice's points: hills are about that wide.
    """
    across, down = _weights(x0 % spacing, size, spacing), _slope(y0 % spacing, size, spacing)
    xs = range(x0 // spacing, x0 // spacing + len(across))
    ys = range(y0 // spacing, y0 // spacing + down[-1][0] + 2)
    lattice = draw_grid(seed, 0, (name, spacing), xs, ys)
    low_bits = _low_bits(size)
    bands = [_stretch(row, across) & low_bits for row in lattice]
    width = size * LANE_BYTES
    rows = [
        (
            (bands[index] * (_SLOPE - part) + bands[index + 1] * part >> _SLOPE_BITS) & low_bits
        ).to_bytes(width, "little")
        for index, part in down
    ]
    return int.from_bytes(b"".join(rows), "little")


def _stretch(row: Sequence[int], weights: Sequence[int]) -> int:
    """Return the slopes between the lattice's points in ``row``; each lane has bits above."""
    drawn = [draw >> (64 - HEIGHT_BITS) for draw in row]
    return sum([height * weight for height, weight in zip(drawn, weights, strict=True)]) >> (
        _SLOPE_BITS
    )


@cache
def _low_bits(size: int) -> int:
    return in_all(HEIGHT_MAX - 1, size)


@cache
def _weights(start: int, size: int, spacing: int) -> Sequence[int]:
    """Return for each lattice point, as lanes, how much it counts in each cell, in 256ths."""
    slope = _slope(start, size, spacing)
    return [
        lanes(
            [
                _SLOPE - part if index == point else part if index == point - 1 else 0
                for index, part in slope
            ]
        )
        for point in range(slope[-1][0] + 2)
    ]


@cache
def _slope(start: int, size: int, spacing: int) -> Sequence[tuple[int, int]]:
    """Return for each cell the lattice point before it, and how far on it is, in 256ths.

    ``start`` is less than ``spacing``, so there are few to remember.
    """
    return [(at // spacing, _ease(at % spacing, spacing)) for at in range(start, start + size)]


def _ease(step: int, spacing: int) -> int:
    """Return 3t^2 - 2t^3 for t = step / spacing: level at both ends, so no edges show."""
    return (step * step * (3 * spacing - 2 * step) << _SLOPE_BITS) // spacing**3
