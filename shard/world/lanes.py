"""Lanes: many small numbers in one large integer, so that one operation does something to all.

Pure. A lane has 32 bits; the first number is in the lowest. They are added, multiplied with one
number, shifted and masked as any integer is, each of which takes a microsecond or two for a
thousand lanes. The caller sees to it that no lane becomes negative, or as large as ``TOP``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

LANE_BYTES = 4
TOP = 1 << 31
"""The highest bit of a lane: no number has it, so that comparing has a bit to borrow from."""


def lanes(numbers: Sequence[int]) -> int:
    return int.from_bytes(struct.pack(f"<{len(numbers)}I", *numbers), "little")


def numbers(lanes: int, count: int) -> tuple[int, ...]:
    """Return the first ``count`` lanes as numbers."""
    return struct.unpack(f"<{count}I", lanes.to_bytes(count * LANE_BYTES, "little"))


def low_bytes(lanes: int, count: int) -> bytes:
    """Return the first ``count`` lanes, each of them less than 256."""
    return lanes.to_bytes(count * LANE_BYTES, "little")[::LANE_BYTES]


def in_all(number: int, count: int) -> int:
    """Return ``count`` lanes with the same number."""
    return lanes([number] * count)


def at_least(one: int, other: int, tops: int) -> int:
    """Return TOP in each lane in which ``one`` is at least ``other``; ``tops``: TOP in all."""
    return ((one | tops) - other) & tops


def filled(marks: int) -> int:
    """Return all bits but TOP in each lane in which ``marks`` has TOP."""
    return marks - (marks >> 31)


class Factors:
    """A factor of its own for each lane, some bits long: the product is one sum over these bits."""

    def __init__(self, factors: Iterable[int]) -> None:
        rest = list(factors)
        self._bits: list[tuple[int, int]] = []
        bit = 0
        while any(rest):
            has = [factor & 1 for factor in rest]
            self._bits.append((bit, lanes([(TOP - 1) * one for one in has])))
            rest = [factor >> 1 for factor in rest]
            bit += 1

    def times(self, lanes: int) -> int:
        return sum([(lanes & mask) << bit for bit, mask in self._bits])
