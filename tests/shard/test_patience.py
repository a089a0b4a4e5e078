from __future__ import annotations

import itertools

import pytest
import trio
from trio.testing import MockClock

from common.errors import InDoubt, Unavailable
from common.limits import BACKOFF_SECONDS_MAX
from shard.patience import bounded, insist


async def test_a_call_that_takes_too_long_is_in_doubt(autojump_clock: MockClock) -> None:
    with pytest.raises(InDoubt):
        await bounded(2, trio.sleep_forever)
    assert trio.current_time() == pytest.approx(2)


async def test_what_must_be_done_is_tried_until_it_works(autojump_clock: MockClock) -> None:
    times: list[float] = []

    async def call() -> str:
        times.append(trio.current_time())
        if trio.current_time() < 10:
            raise Unavailable("not yet")
        return "done"

    assert await insist("trying", 1, call) == "done"
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert pauses[:3] == pytest.approx([0.05, 0.1, 0.2])
    assert max(pauses) == pytest.approx(BACKOFF_SECONDS_MAX)


async def test_insisting_ends_when_it_is_cancelled(autojump_clock: MockClock) -> None:
    async def call() -> None:
        raise Unavailable("never")

    with trio.move_on_after(5) as scope:
        await insist("trying", 1, call)
    assert scope.cancelled_caught
