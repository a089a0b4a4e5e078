"""A chunk as a listener knows it: one ``chunk_static``, and every ``chunk_delta`` since.

Pure. Folding is the protocol's promise turned into code: static + deltas = the next static. The
gateway answers new listeners from its replica; the client shows its own to the agent.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from common.events import Entered, Event, Failed, Left, Moved, Said
from common.frames import ChunkDelta, ChunkStatic, Entity
from common.grid import AgentId, Tick


@attrs.frozen
class Replica:
    static: ChunkStatic
    tick: Tick
    entities: Mapping[AgentId, Entity]


def replica_of(static: ChunkStatic) -> Replica:
    return Replica(static, static.tick, {entity.id: entity for entity in static.entities})


def is_next(replica: Replica, delta: ChunkDelta) -> bool:
    """Whether ``delta`` follows without a gap: ``prev_tick <= tick of the replica < tick``."""
    return delta.prev_tick <= replica.tick < delta.tick


def fold(replica: Replica, delta: ChunkDelta) -> Replica:
    """Return the replica after ``delta``, which must be the next one."""
    assert is_next(replica, delta), f"delta {delta.tick} does not follow {replica.tick}"
    entities = dict(replica.entities)
    for event in delta.events:
        _apply(event, entities)
    return Replica(replica.static, delta.tick, entities)


def as_static(replica: Replica) -> ChunkStatic:
    """Return the ``chunk_static`` that a listener who comes now must get."""
    entities = [replica.entities[id] for id in sorted(replica.entities)]
    return attrs.evolve(replica.static, tick=replica.tick, entities=entities)


def _apply(event: Event, entities: dict[AgentId, Entity]) -> None:
    match event:
        case Entered(id=id, kind=kind, x=x, y=y, name=name):
            entities[id] = Entity(id, kind, x, y, name)
        case Moved(id=id, x=x, y=y):
            known = entities[id]  # Not evolved: this is done for every step that is shown.
            entities[id] = Entity(id, known.kind, x, y, known.name)
        case Left(id=id):
            del entities[id]
        case Said() | Failed():
            pass
