"""How late ticks were in the last seconds.

Pure. Kept for the slot's beat; the whole distribution is in the metrics.
"""

from __future__ import annotations

from collections import deque

import attrs

from common.limits import LATENESSES_MAX
from shard import metrics


@attrs.define(eq=False)
class Lateness:
    _last: deque[float] = attrs.field(factory=lambda: deque(maxlen=LATENESSES_MAX), init=False)
    """Seconds."""

    def add(self, seconds: float) -> None:
        self._last.append(seconds)
        metrics.LATENESS_SECONDS.observe(seconds)

    def take_ms(self) -> tuple[float, float]:
        """Return the median and the 99th percentile since the last call, 0 if there was no tick."""
        ordered = sorted(self._last)
        self._last.clear()
        if not ordered:
            return 0.0, 0.0
        p50, p99 = (ordered[len(ordered) * percent // 100] for percent in (50, 99))
        return p50 * 1000, p99 * 1000
