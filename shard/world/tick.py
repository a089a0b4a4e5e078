"""Advance one chunk by one tick.

Pure: the same chunk and the same inputs give the same bytes on any machine. First the inputs are
heard, agent by agent in an order drawn per tick, an agent's own in the order of their arrival;
so it never matters whose message was faster on the wire. Then time passes for everybody who is
doing something (``shard.world.walking`` has the rule of movement). Who starts to walk takes the
first step in the same tick; who starts to wait, arrives, or thaws acts from the next one on.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from common.events import Event
from common.grid import AgentId
from shard.world.coming import arrive, enter, leave, settle
from shard.world.effects import Effect
from shard.world.inputs import Arrive, Enter, Input, Leave, Order, Settle, Withdraw, subject
from shard.world.obeying import obey, promise, withdraw
from shard.world.state import Chunk
from shard.world.turn import Turn
from shard.world.walking import pass_time


@attrs.frozen
class TickResult:
    """The chunk one tick later, what its listeners see of it, and what others must be told."""

    chunk: Chunk
    events: tuple[Event, ...]
    effects: tuple[Effect, ...]


def advance(chunk: Chunk, inputs: Sequence[Input]) -> TickResult:
    """Return ``chunk`` one tick later. Its ``changed`` is that tick if listeners saw anything."""
    turn = Turn.of(chunk)
    if inputs:
        _hear(turn, inputs)
    pass_time(turn)
    changed = turn.tick if turn.events else chunk.changed
    after = Chunk(chunk.id, chunk.generation, chunk.seed, turn.tick, changed, turn.agents)
    return TickResult(after, tuple(turn.events), tuple(turn.effects))


def _hear(turn: Turn, inputs: Sequence[Input]) -> None:
    heard: dict[AgentId, list[Input]] = {}
    for told in inputs:
        heard.setdefault(subject(told), []).append(told)
    for agent in sorted(heard, key=lambda agent: (turn.draw("hear", agent), agent)):
        promise(turn, agent, heard[agent])
        for told in heard[agent]:
            _act(turn, told)
            if isinstance(told, Enter):
                promise(turn, agent, heard[agent])


def _act(turn: Turn, told: Input) -> None:
    match told:
        case Enter():
            enter(turn, told)
        case Leave():
            leave(turn, told)
        case Order():
            obey(turn, told)
        case Withdraw():
            withdraw(turn, told)
        case Arrive():
            arrive(turn, told)
        case Settle():
            settle(turn, told)
