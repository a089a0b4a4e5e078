"""Chance: the one source of it in the world.

Pure. There is no generator and nothing to save: a draw is a keyed hash (BLAKE2b) of when and what
for. The same question gets the same answer in every replay, on any machine, in any order of asking.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache


def draw(seed: int, tick: int, *purpose: str | int) -> int:
    """Return 64 drawn bits for ``purpose``; another purpose or tick gets bits of its own."""
    return int.from_bytes(_begin(seed, tick, purpose).digest(), "big")


def draw_grid(
    seed: int, tick: int, purpose: Sequence[str | int], xs: Sequence[int], ys: Sequence[int]
) -> list[list[int]]:
    """Return rows of what ``draw`` gives for ``(*purpose, x, y)``, in a third of the time."""
    begun = _begin(seed, tick, purpose)
    lasts = [_part(y).encode() for y in ys]
    columns = []
    for x in xs:
        column = begun.copy()
        column.update(_part(x).encode())
        drawn = []
        for last in lasts:
            one = column.copy()
            one.update(last)
            drawn.append(int.from_bytes(one.digest(), "big"))
        columns.append(drawn)
    return [list(row) for row in zip(*columns, strict=True)]


def _begin(seed: int, tick: int, purpose: Sequence[str | int]) -> hashlib.blake2b:
    begun = _keyed(seed).copy()
    begun.update("".join([_part(tick), *map(_part, purpose)]).encode())
    return begun


@lru_cache(maxsize=64)
def _keyed(seed: int) -> hashlib.blake2b:
    """Is shared: copy it before anything is added."""
    return hashlib.blake2b(key=seed.to_bytes(16, "big", signed=True), digest_size=8)


@lru_cache(maxsize=4096, typed=True)  # Ticks, chunks, agents of now; to remember is half the time.
def _part(value: str | int) -> str:
    """Carries its kind and its length: ("a", "b") is not ("ab",), and 1 is not "1"."""
    text = str(value)
    return f"{'s' if isinstance(value, str) else 'i'}{len(text)}:{text}"
