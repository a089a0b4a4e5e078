"""Connections that end one after another."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from common.limits import ENDINGS_AT_ONCE, ENDINGS_STEP_SECONDS
from gateway.endings import end_each


@pytest.mark.parametrize(("count", "moments"), [(0, 0), (1, 1), (25, 3), (1_000, 30)])
async def test_a_few_end_at_a_time_and_all_in_time(
    autojump_clock: MockClock, count: int, moments: int
) -> None:
    began = trio.current_time()
    ended: list[tuple[int, float]] = []
    await end_each(
        range(count), lambda each: ended.append((each, trio.current_time() - began)), 0.6
    )
    assert sorted(each for each, _ in ended) == list(range(count))
    assert len({moment for _, moment in ended}) == moments
    assert trio.current_time() - began <= 0.6 + ENDINGS_STEP_SECONDS / 2
    assert count > 300 or moments == -(-count // ENDINGS_AT_ONCE)


async def test_the_order_is_drawn(autojump_clock: MockClock) -> None:
    ended: list[int] = []
    await end_each(range(100), ended.append, 0.6)
    assert ended != sorted(ended)
