"""What a listener who comes now must see of a chunk.

Pure. Applying every later delta to it gives what comes out of here then.
"""

from __future__ import annotations

from common.frames import ChunkStatic, Entity
from common.grid import CHUNK_SIZE, ChunkId, Tick
from shard.world.state import Agent, Chunk
from shard.world.terrain import terrain_of


def static_of(chunk: Chunk) -> ChunkStatic:
    """Return ``chunk`` as of its last delta, entities sorted by id."""
    entities = [_entity(chunk.agents[id]) for id in sorted(chunk.agents)]
    return _static(chunk.seed, chunk.id, chunk.generation, chunk.changed, entities)


def untouched(seed: int, id: ChunkId, generation: int, tick: Tick) -> ChunkStatic:
    """Return the chunk ``id`` with nobody in it; it need not exist."""
    return _static(seed, id, generation, tick, [])


def _static(
    seed: int, id: ChunkId, generation: int, tick: Tick, entities: list[Entity]
) -> ChunkStatic:
    rows = list(terrain_of(seed, id, generation).rows)
    return ChunkStatic(id, generation, tick, CHUNK_SIZE, rows, entities)


def _entity(agent: Agent) -> Entity:
    return Entity(agent.id, "agent", agent.x, agent.y, agent.name)
