"""What an accepted command starts, and how it can end at once.

Pure. Whether it may be accepted is decided before, in ``shard.world.admission``: what comes here
was promised to the client, so it ends in exactly one Finished, and what was promised in its ack
(``seq``) is kept.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from common.commands import MoveTo, Say, Wait
from common.events import Said
from common.grid import AgentId
from shard.world.inputs import Input, Order, Withdraw
from shard.world.state import Agent, Waiting, Walking
from shard.world.turn import Turn


def promise(turn: Turn, id: AgentId, inputs: Iterable[Input]) -> None:
    """Count the acks that this tick's orders got already: their results are numbered after them."""
    agent = turn.agents.get(id)
    if agent is None:
        return
    given = [
        told.seq for told in inputs if isinstance(told, Order) and told.session == agent.session
    ]
    if given and max(given) > agent.seq:
        turn.agents[id] = attrs.evolve(agent, seq=max(given))


def obey(turn: Turn, order: Order) -> None:
    agent = turn.agents[order.agent]
    assert agent.session == order.session, f"{order.id} was accepted for {order.session}"
    assert agent.transfer is None, f"{agent.id} is frozen: {order.id} had to wait"
    match order.command:
        case Say(text=text):
            turn.events.append(Said(agent.id, text))
            turn.finish(agent, order.id)
        case Wait(ticks=ticks):
            turn.begin(_at_leisure(agent), Waiting(order.id, ticks))
            turn.busy.add(agent.id)
        case MoveTo(x=x, y=y):
            set_out(turn, _at_leisure(agent), Walking(order.id, x, y))


def set_out(turn: Turn, agent: Agent, walking: Walking) -> None:
    """Begin to walk, unless that ends here: on the goal, or because the goal is no floor."""
    if (agent.x, agent.y) == (walking.x, walking.y):
        turn.finish(agent, walking.id)
    elif _is_hopeless(turn, walking):
        turn.finish(agent, walking.id, "unreachable")
    else:
        turn.begin(agent, walking)


def withdraw(turn: Turn, told: Withdraw) -> None:
    agent = turn.agents.get(told.agent)
    if agent is None or agent.session != told.session:
        return
    if agent.doing is not None and agent.doing.id == told.id:
        assert agent.transfer is None, f"{agent.id} is frozen: its inputs had to wait"
        turn.finish(agent, told.id, told.reason)


def _is_hopeless(turn: Turn, walking: Walking) -> bool:
    terrain = turn.terrain
    goal = (walking.x, walking.y)
    return terrain.contains(*goal) and not terrain.is_floor(*goal)


def _at_leisure(agent: Agent) -> Agent:
    assert agent.doing is None, f"{agent.id} has {agent.doing} in flight"
    return agent
