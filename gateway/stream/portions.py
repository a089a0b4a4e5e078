"""How what is to be told is split into writes, so that a slow reader has little under way.

Pure. Joined in one piece, what waits for a slow reader would be copied for that reader alone, and
could neither be dropped nor be seen to move.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from common.limits import SEND_BYTES_MAX


class _Written(Protocol):
    @property
    def data(self) -> bytes: ...


T = TypeVar("T", bound=_Written)


def in_portions(things: Sequence[T]) -> Iterator[list[T]]:
    """Split what is to be written into portions of SEND_BYTES_MAX; a longer one is by itself."""
    portion: list[T] = []
    size = 0
    for thing in things:
        if portion and size + len(thing.data) > SEND_BYTES_MAX:
            yield portion
            portion, size = [], 0
        portion.append(thing)
        size += len(thing.data)
    if portion:
        yield portion
