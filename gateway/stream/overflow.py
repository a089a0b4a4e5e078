"""When a slow reader is shown everything anew, and when it is sent away.

Pure. Times are seconds of any clock that only goes forward.
"""

from __future__ import annotations

import attrs

from common.limits import OVERFLOW_WINDOW_SECONDS, SPECTATOR_OVERFLOWS_MAX


@attrs.frozen
class Overflows:
    """The times, oldest first, at which a reader's queue was full lately."""

    times: tuple[float, ...] = ()

    def again(self, now: float) -> Overflows:
        """Return it with one more, at ``now``, and without those that are long past."""
        lately = [time for time in self.times if now - time < OVERFLOW_WINDOW_SECONDS]
        return Overflows((*lately, now))

    @property
    def are_too_many(self) -> bool:
        return len(self.times) >= SPECTATOR_OVERFLOWS_MAX
