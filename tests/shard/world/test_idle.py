"""A chunk that is idle may be skipped, and only such a chunk."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.grid import AgentId, CommandId, SessionId, Tick, TransferId, chunk_id
from shard.world.idle import is_idle, skip_to
from shard.world.state import Agent, Chunk, Doing, Waiting, Walking
from shard.world.terrain import Spot, terrain_of
from shard.world.tick import advance

FLOOR = terrain_of(7, chunk_id(0, 0), 1).floor()


def _walking(goal: Spot, refusals: int) -> Walking:
    return Walking(CommandId("c"), goal[0], goal[1], refusals=refusals)


doings = st.one_of(
    st.none(),
    st.builds(Waiting, st.just(CommandId("c")), st.integers(1, 3)),
    st.builds(_walking, st.sampled_from(FLOOR[100:]), st.integers(0, 2)),
)
transfers = st.one_of(st.none(), st.just(TransferId("t")))
crowds = st.lists(st.tuples(doings, transfers), max_size=4)


def a_chunk(crowd: list[tuple[Doing | None, TransferId | None]]) -> Chunk:
    agents = [
        Agent(AgentId(f"a{n}"), "a", SessionId("s"), 0, *FLOOR[n], doing, transfer)
        for n, (doing, transfer) in enumerate(crowd)
    ]
    return Chunk(chunk_id(0, 0), 1, 7, Tick(4), Tick(2), {agent.id: agent for agent in agents})


@given(crowds)
def test_idle_means_that_a_tick_changes_nothing_but_itself(
    crowd: list[tuple[Doing | None, TransferId | None]],
) -> None:
    chunk = a_chunk(crowd)
    result = advance(chunk, ())
    nothing = result.chunk == attrs.evolve(chunk, tick=Tick(5)) and not result.effects
    assert is_idle(chunk) == nothing


def test_skipping_is_the_same_as_ticking() -> None:
    chunk = a_chunk([(None, None), (None, None)])
    ticked = chunk
    for _ in range(10):
        ticked = advance(ticked, ()).chunk
    assert skip_to(chunk, Tick(14)) == ticked


def test_time_can_be_skipped_neither_backwards_nor_while_somebody_acts() -> None:
    with pytest.raises(AssertionError, match="back"):
        skip_to(a_chunk([]), Tick(3))
    with pytest.raises(AssertionError, match="idle"):
        skip_to(a_chunk([(Waiting(CommandId("c"), 3), None)]), Tick(9))
