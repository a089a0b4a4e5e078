from __future__ import annotations

import pytest

from common.frames import ChunkDelta, ChunkStatic
from common.grid import ChunkId, Tick
from ops.client import StreamBroken, View

STATIC = ChunkStatic(ChunkId("0:0"), 1, Tick(10), 50, ["." * 50] * 50, [])


def a_delta(prev_tick: int, tick: int) -> ChunkDelta:
    return ChunkDelta(ChunkId("0:0"), Tick(tick), Tick(prev_tick), [])


def test_a_silent_gap_is_noticed() -> None:
    view = View()
    view.see(STATIC)
    view.see(a_delta(9, 11))
    with pytest.raises(StreamBroken):
        view.see(a_delta(12, 13))


def test_a_repeated_delta_is_noticed() -> None:
    view = View()
    view.see(STATIC)
    view.see(a_delta(10, 11))
    with pytest.raises(StreamBroken):
        view.see(a_delta(10, 11))


def test_a_delta_before_its_static_is_noticed() -> None:
    with pytest.raises(StreamBroken):
        View().see(a_delta(10, 11))
