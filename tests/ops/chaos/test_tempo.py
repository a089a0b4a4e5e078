from __future__ import annotations

import pytest

from common.grid import ChunkId, Tick
from common.limits import TICK_SECONDS
from ops.chaos.tempo import Tempo

HERE = ChunkId("0:0")


def heard(pause: float, *, late: float = 0.0) -> Tempo:
    """Ticks 1 to 40, with a ``pause`` before tick 21; each delta but one in five is ``late``."""
    tempo = Tempo()
    for tick in range(1, 41):
        at = tick * TICK_SECONDS + (pause if tick > 20 else 0.0) + (late if tick % 5 else 0.0)
        tempo.hear(HERE, Tick(tick), at)
    return tempo


@pytest.mark.parametrize("pause", [0.0, 0.1, 0.7, 2.0])
def test_a_clock_has_lost_what_the_chunk_stood_still(pause: float) -> None:
    since, until = 20 * TICK_SECONDS + 0.01, 21 * TICK_SECONDS + pause
    assert heard(pause).losses(since, until) == {HERE: pytest.approx(pause)}


def test_what_is_late_on_its_way_is_no_loss() -> None:
    assert heard(0.0, late=0.5).losses(4.01, 4.6) == {HERE: pytest.approx(0.0)}


def test_a_chunk_that_was_not_heard_before_and_after_is_not_judged() -> None:
    assert heard(0.0).losses(0.1, 2.0) == {}
    assert heard(0.0).losses(4.0, 20.0) == {}
