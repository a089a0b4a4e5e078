"""How much the clocks of chunks fell behind, seen from outside: ticks by when they were published.

A chunk that stood still for a while carries on from there, so its clock has lost that while for
good, but for the tick that it would have waited anyway. One tick that is late loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from common.grid import ChunkId, Tick
from common.limits import TICK_SECONDS

AROUND_SECONDS = (
    4.0  # Before and after, from which a clock is told: some deltas, one of them quick.
)


@attrs.define
class Tempo:
    _came: dict[ChunkId, list[tuple[float, Tick]]] = attrs.field(factory=dict)

    def hear(self, chunk: ChunkId, tick: Tick, at: float) -> None:
        """A delta of ``tick`` came at ``at``, seconds."""
        self._came.setdefault(chunk, []).append((at, tick))

    def losses(self, since: float, until: float) -> Mapping[ChunkId, float]:
        """Return the seconds that each clock lost in between, of those heard before and after."""
        losses = {}
        for chunk, came in self._came.items():
            before = _behind(came, since - AROUND_SECONDS, since)
            after = _behind(came, until, until + AROUND_SECONDS)
            if before is not None and after is not None:
                losses[chunk] = max(0.0, after - before)
        return losses


def _behind(came: list[tuple[float, Tick]], since: float, until: float) -> float | None:
    """Return how far ticks lag behind time; what was only late on its way does not count."""
    return min((at - tick * TICK_SECONDS for at, tick in came if since <= at < until), default=None)
