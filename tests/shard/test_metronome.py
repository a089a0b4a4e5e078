from __future__ import annotations

from collections import Counter

import pytest
import trio
from trio.testing import MockClock

from common.grid import chunk_id
from common.limits import BEATS_PER_TICK, TICK_SECONDS
from shard.metronome import Metronome, due_time, last_due, next_due, phase_of

PHASES = range(BEATS_PER_TICK)


@pytest.fixture
def late(autojump_clock: MockClock) -> MockClock:
    """Days after trio's clock began, where sums of its times are no longer exact."""
    autojump_clock.jump(777_777.7)
    return autojump_clock


async def test_each_turn_comes_exactly_when_it_is_due(late: MockClock) -> None:
    metronome = Metronome()
    called: dict[int, list[float]] = {phase: [] for phase in PHASES}

    async def walk(phase: int) -> None:
        for _ in range(3):
            due = max(next_due(phase), last_due(phase) + 1)
            await metronome.wait_turn(phase, due)
            called[phase].append(trio.current_time() - due_time(phase, due))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(metronome.run)
        async with trio.open_nursery() as walking:
            for phase in PHASES:
                walking.start_soon(walk, phase)
        nursery.cancel_scope.cancel()
    assert all(late == [pytest.approx(0, abs=1e-6)] * 3 for late in called.values())


@pytest.mark.parametrize("began", [0.0, 777_777.7])
async def test_at_its_moment_a_turn_has_come_and_the_next_is_a_tick_away(
    autojump_clock: MockClock, began: float
) -> None:
    autojump_clock.jump(began)
    for phase in PHASES:
        for _ in range(50):
            due = next_due(phase)
            await trio.sleep_until(due_time(phase, due))
            assert (last_due(phase), next_due(phase)) == (due, due)
            assert due_time(phase, due + 1) - trio.current_time() == pytest.approx(TICK_SECONDS)
            await trio.sleep(TICK_SECONDS / 3)
            assert (last_due(phase), next_due(phase)) == (due, due + 1)


async def test_who_comes_late_with_an_earlier_turn_is_called_first(late: MockClock) -> None:
    metronome, called, lateness = Metronome(), [], []

    async def wait(phase: int, due: int) -> None:
        await metronome.wait_turn(phase, due)
        called.append((due, phase))
        lateness.append(trio.current_time() - due_time(phase, due))

    due = next_due(0) + 1
    async with trio.open_nursery() as nursery:
        nursery.start_soon(metronome.run)
        async with trio.open_nursery() as waiting:
            waiting.start_soon(wait, 5, due)
            await trio.sleep(0.001)
            waiting.start_soon(wait, 3, due)
            waiting.start_soon(wait, 5, due + 1)
        nursery.cancel_scope.cancel()
    assert called == [(due, 3), (due, 5), (due + 1, 5)]
    assert lateness == [pytest.approx(0, abs=1e-6)] * 3


async def test_after_a_stall_whoever_waits_is_called_at_once_and_carries_on_from_now(
    autojump_clock: MockClock,
) -> None:
    metronome = Metronome()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(metronome.run)
        due = next_due(7)
        async with trio.open_nursery() as waiting:
            waiting.start_soon(metronome.wait_turn, 7, due)
            await trio.testing.wait_all_tasks_blocked()
            autojump_clock.jump(10)
        assert trio.current_time() - due_time(7, due) == pytest.approx(10, abs=TICK_SECONDS)
        assert next_due(7) >= due + 49
        nursery.cancel_scope.cancel()


def test_a_thousand_chunks_are_spread_over_all_moments() -> None:
    beats = Counter(phase_of(chunk_id(n % 32, n // 32)) for n in range(1_000))
    assert set(beats) == set(PHASES)
    assert max(beats.values()) < 2 * 1_000 / BEATS_PER_TICK


def test_a_chunk_keeps_its_moment() -> None:
    """Not for a promise's sake, but hash() would give it another one in each process."""
    assert phase_of(chunk_id(0, 0)) == 0xD85AD257 % BEATS_PER_TICK
