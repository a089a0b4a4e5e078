"""A clock that jumps, also where real sockets are in the way."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

CALM_SECONDS = 0.02  # Real: the clock may jump once nothing moved for so long, also in the kernel.


@pytest.fixture
def calm(autojump_clock: MockClock) -> MockClock:
    autojump_clock.autojump_threshold = CALM_SECONDS
    return autojump_clock
