"""What a listener gets first."""

from __future__ import annotations

from common.frames import Entity
from common.grid import AgentId, SessionId, Tick, chunk_id
from shard.world.show import static_of, untouched
from shard.world.state import Agent, Chunk
from shard.world.terrain import terrain_of

HOME = chunk_id(-1, 0)


def test_a_static_is_of_the_last_delta_with_entities_sorted_by_id() -> None:
    agents = [Agent(AgentId(id), id.upper(), SessionId("s"), 3, -5, 6) for id in "cab"]
    chunk = Chunk(HOME, 2, 7, Tick(9), Tick(4), {agent.id: agent for agent in agents})
    static = static_of(chunk)
    assert (static.chunk, static.generation, static.tick, static.size) == (HOME, 2, 4, 50)
    assert static.terrain == list(terrain_of(7, HOME, 2).rows)
    assert static.entities == [Entity(AgentId(id), "agent", -5, 6, id.upper()) for id in "abc"]


def test_an_untouched_chunk_is_shown_with_its_terrain_and_nobody() -> None:
    static = untouched(7, HOME, 1, Tick(0))
    assert static == static_of(Chunk(HOME, 1, 7, Tick(3), Tick(0), {}))
