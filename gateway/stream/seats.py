"""How many spectators this gateway takes, in all and from one address.

Pure, but that it keeps count. A limit of 0 is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import attrs

Full = Literal["address", "gateway"]


@attrs.define(eq=False)
class Seats:
    _per_address: int
    _in_all: int
    _taken: Counter[str] = attrs.field(factory=Counter, init=False)
    taken: int = attrs.field(default=0, init=False)

    def full(self, address: str) -> Full | None:
        """Return what would be exceeded by one more from ``address``."""
        if 0 < self._per_address <= self._taken[address]:
            return "address"
        return "gateway" if 0 < self._in_all <= self.taken else None

    @contextmanager
    def seat(self, address: str) -> Iterator[None]:
        """Count one more from ``address``, for as long as the block lasts."""
        self.take(address)
        try:
            yield
        finally:
            self.leave(address)

    def take(self, address: str) -> None:
        self._taken[address] += 1
        self.taken += 1

    def leave(self, address: str) -> None:
        self.taken -= 1
        self._taken[address] -= 1
        if not self._taken[address]:
            del self._taken[address]  # Else every address that ever came is kept.
