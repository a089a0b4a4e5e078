"""A chunk in the middle of a tick: what the rules read and write while they make the next one.

Pure, though it changes: ``advance`` owns it and lets go of it before it returns. It keeps three
promises: one agent a cell, a ``seq`` for every result, and a ``failed`` for whoever watches.
"""

from __future__ import annotations

import attrs

from common.events import Entered, Event, Failed, Left
from common.frames import Position
from common.grid import AgentId, ChunkId, CommandId, Tick
from common.limits import CHUNK_AGENTS_MAX
from common.refusals import FailReason, LeftReason
from shard.world.chance import draw
from shard.world.effects import Effect, Finished, Placed
from shard.world.state import Agent, Chunk, Doing
from shard.world.terrain import Spot, Terrain, terrain_of

_UNSEEN: frozenset[FailReason | None] = frozenset({None, "cancelled", "session_ended"})
"""What listeners are not told: it came from the agent itself, or nothing failed."""


@attrs.define
class Turn:
    """``tick`` is the one being made. ``busy`` are those who have done their share of it."""

    chunk: Chunk
    tick: Tick
    agents: dict[AgentId, Agent]
    occupants: dict[Spot, AgentId]
    events: list[Event] = attrs.field(factory=list)
    effects: list[Effect] = attrs.field(factory=list)
    busy: set[AgentId] = attrs.field(factory=set)

    @classmethod
    def of(cls, chunk: Chunk) -> Turn:
        occupants = {(agent.x, agent.y): agent.id for agent in chunk.agents.values()}
        return cls(chunk, Tick(chunk.tick + 1), dict(chunk.agents), occupants)

    @property
    def terrain(self) -> Terrain:
        return terrain_of(self.chunk.seed, self.chunk.id, self.chunk.generation)

    @property
    def is_full(self) -> bool:
        return len(self.agents) >= CHUNK_AGENTS_MAX

    def draw(self, *purpose: str | int) -> int:
        """Draw for ``purpose`` in this chunk and tick."""
        return draw(self.chunk.seed, self.tick, self.chunk.id, *purpose)

    def is_free(self, spot: Spot) -> bool:
        return spot not in self.occupants and self.terrain.is_floor(*spot)

    def enter(self, agent: Agent, source: ChunkId | None = None) -> None:
        spot = (agent.x, agent.y)
        assert agent.id not in self.agents, f"{agent.id} is in {self.chunk.id} already"
        assert self.is_free(spot), f"{agent.id} enters {self.chunk.id} at {spot}, which is taken"
        self.agents[agent.id] = agent
        self.occupants[spot] = agent.id
        self.events.append(Entered(agent.id, "agent", *spot, name=agent.name, from_=source))

    def leave(self, agent: Agent, reason: LeftReason, to: ChunkId | None = None) -> None:
        del self.agents[agent.id]
        del self.occupants[agent.x, agent.y]
        self.events.append(Left(agent.id, reason, to))

    def place(self, agent: Agent) -> None:
        """Say where ``agent`` is, to whoever drives it."""
        in_flight = agent.doing.id if agent.doing else None
        spot = Position(agent.x, agent.y)
        self.effects.append(Placed(agent.id, agent.session, spot, agent.seq, in_flight))

    def begin(self, agent: Agent, doing: Doing) -> None:
        self.agents[agent.id] = attrs.evolve(agent, doing=doing)

    def finish(self, agent: Agent, id: CommandId, reason: FailReason | None = None) -> Agent:
        """End the command ``id`` of ``agent`` and return the agent, which may be busy otherwise."""
        doing = None if agent.doing and agent.doing.id == id else agent.doing
        ended = attrs.evolve(agent, seq=agent.seq + 1, doing=doing)
        self.agents[agent.id] = ended
        spot = Position(agent.x, agent.y)
        self.effects.append(Finished(agent.session, id, ended.seq, spot, reason))
        if reason is not None and reason not in _UNSEEN:
            self.events.append(Failed(agent.id, reason))
        return ended
