"""Coming and going: how agents enter the world, leave it, and cross from chunk to chunk.

Pure. A session drives at most one agent, and an agent is driven by one session: a newer one ends
what the older one had in flight. What happens at the source of a crossing until it is settled
is told in ``shard.world.walking``; here are both ends of it.
"""

from __future__ import annotations

from itertools import compress, count, islice

import attrs

from common.frames import Position
from common.grid import Tick
from common.limits import REFUSALS_MAX, REFUSED_TICKS
from shard.world.effects import Arrived, Gone, Unplaced
from shard.world.inputs import Arrive, Enter, Leave, Settle
from shard.world.obeying import set_out
from shard.world.state import Agent, Walking
from shard.world.terrain import Spot
from shard.world.turn import Turn

_BESIDE = ((0, 0), (0, -1), (1, 0), (0, 1), (-1, 0), (-1, -1), (1, -1), (1, 1), (-1, 1))


def enter(turn: Turn, told: Enter) -> None:
    present = turn.agents.get(told.agent)
    if present is None:
        _enter_anew(turn, told)
    elif present.session == told.session:
        turn.place(present)
    else:
        _change_session(turn, present, told)


def _enter_anew(turn: Turn, told: Enter) -> None:
    if turn.is_full:
        turn.effects.append(Unplaced(told.agent, told.session))
        return
    x, y = _drawn_spot(turn, told) if told.at is None else _nearest_spot(turn, told.at)
    agent = Agent(told.agent, told.name, told.session, 0, x, y)
    turn.enter(agent)
    turn.place(agent)


def _change_session(turn: Turn, agent: Agent, told: Enter) -> None:
    assert agent.transfer is None, f"{agent.id} is frozen: its inputs had to wait"
    if agent.doing is not None:
        agent = turn.finish(agent, agent.doing.id, "session_ended")
    agent = attrs.evolve(agent, session=told.session, seq=0)
    turn.agents[agent.id] = agent
    turn.place(agent)


def _drawn_spot(turn: Turn, told: Enter) -> Spot:
    """Return one of the free cells, counted row by row. A chunk that is not full has some."""
    free = turn.terrain.open_but(turn.occupants)
    drawn = turn.draw("enter", told.agent) % free.count(1)
    return turn.terrain.spot_at(next(islice(compress(count(), free), drawn, None)))


def _nearest_spot(turn: Turn, at: Position) -> Spot:
    if turn.is_free((at.x, at.y)):
        return (at.x, at.y)
    free = [spot for spot in turn.terrain.floor() if spot not in turn.occupants]
    return min(free, key=lambda spot: abs(spot[0] - at.x) + abs(spot[1] - at.y))


def leave(turn: Turn, told: Leave) -> None:
    agent = turn.agents.get(told.agent)
    if agent is None or agent.session != told.session:
        return
    assert agent.transfer is None, f"{agent.id} is frozen: its inputs had to wait"
    if agent.doing is not None:
        agent = turn.finish(agent, agent.doing.id, "session_ended")
    turn.leave(agent, "session_ended")
    turn.effects.append(Gone(agent.id, agent.session, Position(agent.x, agent.y)))


def arrive(turn: Turn, told: Arrive) -> None:
    """Let the traveller in at the cell it wants or one of the eight beside it, if one is free."""
    traveller = told.traveller
    assert traveller.id not in turn.agents, f"{traveller.id} arrives where it is: {told.transfer}"
    wanted = ((traveller.x + dx, traveller.y + dy) for dx, dy in _BESIDE)
    spot = None if turn.is_full else next(filter(turn.is_free, wanted), None)
    entered = spot is not None
    turn.effects.append(Arrived(told.transfer, told.source, traveller.id, entered))
    if spot is not None:
        agent = attrs.evolve(traveller, x=spot[0], y=spot[1], transfer=None)
        turn.enter(agent, told.source)
        turn.place(agent)
        turn.busy.add(agent.id)
        if isinstance(agent.doing, Walking):
            set_out(turn, agent, Walking(agent.doing.id, agent.doing.x, agent.doing.y))


def settle(turn: Turn, told: Settle) -> None:
    """Let the frozen agent go, or thaw it. A repetition finds nobody who waits for it."""
    agent = turn.agents.get(told.agent)
    if agent is None or agent.transfer != told.transfer:
        return
    if told.entered:
        turn.leave(agent, "moved", told.target)
    else:
        _thaw(turn, attrs.evolve(agent, transfer=None))


def _thaw(turn: Turn, agent: Agent) -> None:
    walking = agent.doing
    assert isinstance(walking, Walking), f"{agent.id} stood at a border without walking"
    agent = attrs.evolve(agent, asks_from=Tick(turn.tick + REFUSED_TICKS + 1))
    refusals = walking.refusals + 1
    if refusals >= REFUSALS_MAX:
        turn.finish(agent, walking.id, "boundary_refused")
    else:
        turn.begin(agent, attrs.evolve(walking, refusals=refusals))
