"""Noise: heights that are smooth from chunk to chunk, the same wherever they are asked from.

Pure, integers only, so that no machine rounds differently. Value noise: drawn heights at the
points of a coarse lattice over the whole world, and smooth slopes between them.
"""

from __future__ import annotations

from collections.abc import Sequence

from shard.world.chance import draw

Heights = list[list[int]]
"""Rows of heights, smallest y first; each from 0 to HEIGHT_MAX."""

HEIGHT_BITS = 12
HEIGHT_MAX = 1 << HEIGHT_BITS
_SLOPE_BITS = 8


def heights(seed: int, name: str, x0: int, y0: int, size: int, spacing: int) -> Heights:
    """Return the heights named ``name`` of the square of ``size`` cells whose corner is (x0, y0).

    ``spacing`` is the distance of the lattice's points: hills are about that wide.
    """
    first_x, first_y = x0 // spacing, y0 // spacing
    last_x, last_y = (x0 + size - 1) // spacing + 1, (y0 + size - 1) // spacing + 1
    lattice = [
        [_height(seed, name, spacing, lx, ly) for lx in range(first_x, last_x + 1)]
        for ly in range(first_y, last_y + 1)
    ]
    across = _slope(x0, size, spacing)
    bands = [_stretch(row, across) for row in lattice]
    return [
        _between(bands[index], bands[index + 1], part) for index, part in _slope(y0, size, spacing)
    ]


def _height(seed: int, name: str, spacing: int, lx: int, ly: int) -> int:
    return draw(seed, 0, name, spacing, lx, ly) >> (64 - HEIGHT_BITS)


def _slope(start: int, size: int, spacing: int) -> list[tuple[int, int]]:
    """Return for each cell the lattice point before it, and how far on it is, in 256ths."""
    first = start // spacing
    return [
        (at // spacing - first, _ease(at % spacing, spacing)) for at in range(start, start + size)
    ]


def _ease(step: int, spacing: int) -> int:
    """Return 3t^2 - 2t^3 for t = step / spacing: level at both ends, so no edges show."""
    return (step * step * (3 * spacing - 2 * step) << _SLOPE_BITS) // spacing**3


def _stretch(row: Sequence[int], slope: Sequence[tuple[int, int]]) -> list[int]:
    return [
        row[index] + ((row[index + 1] - row[index]) * part >> _SLOPE_BITS) for index, part in slope
    ]


def _between(above: Sequence[int], below: Sequence[int], part: int) -> list[int]:
    return [
        one + ((other - one) * part >> _SLOPE_BITS) for one, other in zip(above, below, strict=True)
    ]
