"""Chance: the one source of it in the world.

Pure. There is no generator and nothing to save: a draw is a keyed hash (BLAKE2b) of when and what
for. The same question gets the same answer in every replay, on any machine, in any order of asking.
"""

from __future__ import annotations

import hashlib


def draw(seed: int, tick: int, *purpose: str | int) -> int:
    """Return 64 drawn bits for ``purpose``; another purpose or tick gets bits of its own."""
    # Each part carries its kind and its length: ("a", "b") is not ("ab",), and 1 is not "1".
    parts = [_part(value) for value in (tick, *purpose)]
    key = seed.to_bytes(16, "big", signed=True)
    digest = hashlib.blake2b("".join(parts).encode(), key=key, digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _part(value: str | int) -> str:
    text = str(value)
    return f"{'s' if isinstance(value, str) else 'i'}{len(text)}:{text}"
