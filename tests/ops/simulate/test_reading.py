from __future__ import annotations

import pytest

from common import wire
from common.events import Moved
from common.frames import ChunkDelta, ChunkStatic, Goodbye
from common.grid import AgentId, ChunkId, Tick
from ops.simulate.reading import read_shown

DELTA = ChunkDelta(ChunkId("0:0"), Tick(2), Tick(1), [Moved(AgentId("a"), 1, 2)])
STATIC = ChunkStatic(ChunkId("0:0"), 1, Tick(2), 1, ["."], [])


@pytest.mark.parametrize("frame", [DELTA, STATIC])
def test_what_chunks_are_shown_as_is_read_once(frame: ChunkDelta | ChunkStatic) -> None:
    text = wire.encode(frame).decode()
    assert read_shown(text) == frame
    assert read_shown(text + "") is read_shown(text)


def test_everything_else_is_left_to_others() -> None:
    assert read_shown(wire.encode(Goodbye(1000, "", resume=False)).decode()) is None
    assert read_shown('["chunk_delta"]') is None


def test_a_frame_with_more_in_it_than_the_protocol_has_is_noticed() -> None:
    with pytest.raises(wire.Malformed):
        read_shown(wire.encode(DELTA).decode().replace('"x":1', '"x":1,"z":0'))
