"""How what is to be told is split into writes, so that a slow reader has little under way.

Pure. Joined in one piece, what waits for a slow reader would be copied for that reader alone, and
could neither be dropped nor be seen to move.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from common.limits import SEND_BYTES_MAX
from gateway.stream.telling import Line


def in_portions(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """Split ``lines`` into portions of SEND_BYTES_MAX; a longer line is one by itself."""
    portion: list[Line] = []
    size = 0
    for line in lines:
        if portion and size + len(line.data) > SEND_BYTES_MAX:
            yield portion
            portion, size = [], 0
        portion.append(line)
        size += len(line.data)
    if portion:
        yield portion
