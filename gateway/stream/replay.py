"""What a spectator who comes back has missed of one chunk, or that nobody can say any more.

Pure. ``shown`` is the static that the chunk's feed has at the moment; live deltas follow it. What
a client was sent by another gateway may be newer than that: gateways do not hear in step.
"""

from __future__ import annotations

from collections.abc import Sequence

from common.bus import Delta
from common.grid import Tick
from gateway.stream.follow import Static
from gateway.stream.position import Mark


def read_from(mark: Mark, shown: Static) -> Tick | None:
    """Return the tick after which deltas are to be read; None: it lived in another generation."""
    return min(mark.tick, shown.tick) if mark.generation == shown.generation else None


def missed(mark: Mark, shown: Static, deltas: Sequence[Delta] | None) -> Sequence[Delta] | None:
    """Return the deltas after ``mark`` up to at least ``shown``, or None: a resync is due.

    ``deltas`` is what there was after ``read_from``, in order, None when some are gone.
    """
    if deltas is None or not _is_unbroken(read_from(mark, shown), deltas):
        return None
    if (deltas[-1].tick if deltas else mark.tick) < shown.tick:
        return None  # The stream was lost on the way, or the client's ticks never were ours.
    if mark.tick > shown.tick and mark.tick not in {delta.tick for delta in deltas}:
        return None
    return [delta for delta in deltas if delta.tick > mark.tick]


def _is_unbroken(tick: Tick | None, deltas: Sequence[Delta]) -> bool:
    if tick is None:
        return False
    for delta in deltas:
        if not delta.prev_tick <= tick < delta.tick:
            return False
        tick = delta.tick
    return True
