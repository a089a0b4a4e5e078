"""When a child that died is started again.

Pure. The first time almost at once, because most deaths are accidents and a shard's agents wait;
then twice as long each time, because a child that cannot start should not eat the machine.
"""

from __future__ import annotations

import attrs

from common.limits import RESTART_SECONDS_MAX, RESTART_SECONDS_MIN, STEADY_SECONDS

_DOUBLINGS_MAX = 32  # Far beyond the longest delay; keeps the power of two small.


@attrs.frozen
class Backoff:
    """How often in a row a child died young."""

    deaths: int = 0

    def died(self, lived_seconds: float) -> Backoff:
        """One more death; a child that had lived a while died its first."""
        return Backoff(1 if lived_seconds >= STEADY_SECONDS else self.deaths + 1)

    @property
    def delay_seconds(self) -> float:
        if self.deaths == 0:
            return 0.0
        doublings = min(self.deaths - 1, _DOUBLINGS_MAX)
        return min(RESTART_SECONDS_MAX, RESTART_SECONDS_MIN * 2.0**doublings)
