"""Whether a command may be accepted, as the chunk stands and with what waits for its next tick.

Pure, and decided before the command is journaled: what is admitted here is a promise. Scopes,
limits and proofs were the gateway's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from common.commands import Command, MoveTo, Say
from common.grid import CHUNK_SIZE, AgentId, CommandId, SessionId, chunk_distance, chunk_id
from common.limits import MOVE_CHUNKS_MAX
from common.refusals import AckCode
from shard.world.inputs import Input, Order, Withdraw, subject
from shard.world.state import Agent, Chunk
from shard.world.terrain import terrain_of


@attrs.frozen
class Refusal:
    """The command is refused, and the client is told ``code``."""

    code: AckCode


@attrs.frozen
class NotHere:
    """The agent is not in this chunk: another one may know it."""


@attrs.frozen
class WrongSession:
    """The agent is here, but ``driver`` drives it: no chunk will accept this."""

    driver: SessionId


Elsewhere = NotHere | WrongSession


@attrs.frozen
class Held:
    """Ask again after the next tick: the agent is frozen, or about to come, go or be taken over."""


Admission = Order | Refusal | Elsewhere | Held


def admit(
    chunk: Chunk,
    waiting: Sequence[Input],
    session: SessionId,
    agent: AgentId,
    id: CommandId,
    command: Command,
) -> Admission:
    """Decide on ``command``; ``waiting`` are the inputs admitted for the chunk's next tick."""
    own = [one for one in waiting if subject(one) == agent]
    present = chunk.agents.get(agent)
    if is_held(present, own):
        return Held()
    if present is None:
        return NotHere()
    if present.session != session:
        return WrongSession(present.session)
    code = _refusal(chunk, present, own, command)
    if code is not None:
        return Refusal(code)
    orders = sum(isinstance(one, Order) for one in own)
    return Order(agent, session, id, present.seq + orders + 1, command)


def is_held(agent: Agent | None, waiting: Iterable[Input]) -> bool:
    """Whether nothing may be decided about ``agent``, with ``waiting`` for it, before a tick."""
    if agent is not None and agent.transfer is not None:
        return True
    return any(not isinstance(one, Order | Withdraw) for one in waiting)


def _refusal(
    chunk: Chunk, agent: Agent, waiting: Iterable[Input], command: Command
) -> AckCode | None:
    if isinstance(command, MoveTo):
        code = _unwalkable(chunk, command)
        if code is not None:
            return code
    if not isinstance(command, Say) and _in_flight(agent, waiting) is not None:
        return "in_flight"
    return None


def _unwalkable(chunk: Chunk, goal: MoveTo) -> AckCode | None:
    """Judge the goal. What is floor in another chunk is for whoever gets there to see."""
    target = chunk_id(goal.x // CHUNK_SIZE, goal.y // CHUNK_SIZE)
    if chunk_distance(chunk.id, target) > MOVE_CHUNKS_MAX:
        return "out_of_range"
    terrain = terrain_of(chunk.seed, chunk.id, chunk.generation)
    if terrain.contains(goal.x, goal.y) and not terrain.is_floor(goal.x, goal.y):
        return "not_walkable"
    return None


def _in_flight(agent: Agent, waiting: Iterable[Input]) -> CommandId | None:
    """Return what will be in flight once ``waiting`` was heard, at the most."""
    current = agent.doing.id if agent.doing else None
    for one in waiting:
        match one:
            case Order(id=id, command=command) if not isinstance(command, Say):
                current = id
            case Withdraw(id=id, session=session) if (session, id) == (agent.session, current):
                current = None
            case _:
                pass
    return current
