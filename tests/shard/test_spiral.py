from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.envelopes import Attach
from common.frames import Position
from common.grid import AgentId, ChunkId, GatewayId, SessionId, chunk_distance
from common.limits import SPAWN_CHUNKS_MAX
from shard.spiral import middle, next_chunk, onward


def a_newcomer(at: Position | None = None) -> Attach:
    return Attach(
        SessionId("ses_1"), AgentId("agt_1"), "ann", ChunkId("0:0"), GatewayId("gw_1"), at
    )


def test_a_newcomer_is_sent_to_all_chunks_round_the_middle_and_then_no_further() -> None:
    attach, seen = a_newcomer(), [ChunkId("0:0")]
    while (further := onward(attach)) is not None:
        attach = further
        seen.append(attach.chunk)
    assert len(set(seen)) == len(seen) == SPAWN_CHUNKS_MAX
    assert {chunk_distance(chunk, ChunkId("0:0")) for chunk in seen} == {0, 1, 2}


def test_who_stood_somewhere_is_not_sent_round() -> None:
    assert onward(a_newcomer(Position(3, 3))) is None


@given(st.integers(-9, 9), st.integers(-9, 9), st.integers(0, 60))
def test_the_middle_can_be_told_from_any_chunk_of_the_spiral(cx: int, cy: int, steps: int) -> None:
    chunk = ChunkId(f"{cx}:{cy}")
    for seen in range(steps):
        chunk = next_chunk(chunk, seen)
    assert middle(chunk, steps) == f"{cx}:{cy}"
