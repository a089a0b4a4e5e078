"""Stop asking a dependency that does not answer, and try again after a while.

Pure: time (seconds, of any clock that does not go back) comes in as an argument. It does not
call anything and does not retry. Closed: everything passes. Open: nothing does, but for one
probe each ``open_seconds``, whose success closes it again.
"""

from __future__ import annotations

import math

import attrs


@attrs.define
class Breaker:
    """Opens after ``failures_max`` failures in a row."""

    failures_max: int
    open_seconds: float
    _failures: int = attrs.field(default=0, init=False)
    _probe_at: float = attrs.field(default=-math.inf, init=False)
    is_probing: bool = attrs.field(default=False, init=False)
    """A probe is out and has not reported: who is not in a hurry may wait for what it says."""

    def allows(self, now: float) -> bool:
        """Whether to ask now. Who is allowed while it is open is the probe."""
        if self._failures < self.failures_max:
            return True
        if now < self._probe_at:
            return False
        # A probe that never reports (cancelled) must not keep the next one out for ever.
        self._probe_at = now + self.open_seconds
        self.is_probing = True
        return True

    def succeeded(self) -> None:
        self._failures = 0
        self.is_probing = False

    def failed(self, now: float) -> None:
        self._failures += 1
        self.is_probing = False
        self._probe_at = now + self.open_seconds
