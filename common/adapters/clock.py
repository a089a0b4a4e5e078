"""The time of day: the system's, or one that goes with trio's clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import trio

_1970 = datetime(1970, 1, 1, tzinfo=UTC)
_TEST_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class TrioClock:
    """``epoch`` when trio's clock stands at 0: with a mock clock, time that tests can turn."""

    def __init__(self, epoch: datetime = _TEST_EPOCH) -> None:
        self._epoch = epoch

    def now(self) -> datetime:
        return self._epoch + timedelta(seconds=trio.current_time())

    def now_ms(self) -> int:
        return (self.now() - _1970) // timedelta(milliseconds=1)
