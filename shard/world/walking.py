"""Time passes: those who wait count down, those who walk take a step, all of them together.

Pure. The rule of movement, for everybody whose next step stays in the chunk:

- A cell that several want goes to the one who is drawn first; the others stay.
- A cell is free when nobody stands on it or its occupant steps away in the same tick, so queues
  move up whole, and rings of three or more turn. Two may not change places.
- Who could not step waits, BLOCKED_TICKS_MAX ticks at the most. Is the way then barred by somebody
  who stands (does not walk, is frozen, or could not step either), it takes another way round all
  who stand, in an order drawn per tick; there is none, or it took REPLANS_MAX: ``blocked``.

Who must step over the border asks the neighbour (Departing) and stands frozen until Settle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from common.events import Moved
from common.grid import CHUNK_SIZE, AgentId, TransferId, chunk_coordinates, chunk_id
from common.limits import BLOCKED_TICKS_MAX, REPLANS_MAX
from shard.world.effects import Departing
from shard.world.route import find_way
from shard.world.state import Agent, Waiting, Walking
from shard.world.terrain import STEPS, Spot
from shard.world.turn import Turn

Stepping = tuple[Agent, Walking]
"""A walker who wants to step now, and what it is doing."""


def pass_time(turn: Turn) -> None:
    """Let a tick pass for everybody who is doing something and has not acted yet.

    Comes last in a tick: ``occupants`` say afterwards who stood where before.
    """
    walkers: list[Stepping] = []
    for id in sorted([id for id, agent in turn.agents.items() if agent.doing is not None]):
        agent = turn.agents[id]
        doing = agent.doing
        if agent.transfer is not None or id in turn.busy:
            continue
        if type(doing) is Waiting:
            _wait(turn, agent, doing)
        elif type(doing) is Walking:
            if doing.refused:
                turn.begin(agent, attrs.evolve(doing, refused=doing.refused - 1))
            else:
                walkers.append((agent, doing))
    if walkers:
        _walk(turn, walkers)


def _wait(turn: Turn, agent: Agent, waiting: Waiting) -> None:
    if waiting.ticks > 1:
        turn.begin(agent, Waiting(waiting.id, waiting.ticks - 1))
    else:
        turn.finish(agent, waiting.id)


# Which way


def _with_ways(turn: Turn, walkers: list[Stepping]) -> list[Stepping]:
    """Return those who have a next step: some get a way first, and some find none and fail."""
    if any(walking.blocked >= BLOCKED_TICKS_MAX for _, walking in walkers):
        walkers = _round_those_who_stand(turn, walkers)
    return [stepping if stepping[1].path else _with_way(turn, *stepping) for stepping in walkers]


def _with_way(turn: Turn, agent: Agent, walking: Walking) -> Stepping:
    goal, aside = (walking.x, walking.y), walking.refusals > 0
    way = find_way(turn.terrain, (agent.x, agent.y), goal, aside=aside)
    assert way, f"{agent.id} has no way to {goal} in {turn.chunk.id}, whose floor is one piece"
    return agent, attrs.evolve(walking, path=way)


def _round_those_who_stand(turn: Turn, walkers: list[Stepping]) -> list[Stepping]:
    flowing = {(agent.x, agent.y) for agent, walking in walkers if not walking.blocked}
    standing = turn.occupants.keys() - flowing
    now: dict[AgentId, Stepping] = {agent.id: (agent, walking) for agent, walking in walkers}
    patient = [agent.id for agent, walking in walkers if walking.blocked >= BLOCKED_TICKS_MAX]
    for id in sorted(patient, key=lambda id: (turn.draw("detour", id), id)):
        agent, walking = now[id]
        if _next_spot(agent, walking) not in standing:
            continue  # The way is free, or whoever is there is about to move.
        detour = _detour(turn, agent, walking, standing)
        if detour is None:
            turn.finish(agent, walking.id, "blocked")
            del now[id]
        else:
            now[id] = (agent, detour)
            standing.discard((agent.x, agent.y))
    return list(now.values())


def _detour(turn: Turn, agent: Agent, walking: Walking, standing: set[Spot]) -> Walking | None:
    if walking.replans >= REPLANS_MAX:
        return None
    goal, aside = (walking.x, walking.y), walking.refusals > 0
    way = find_way(turn.terrain, (agent.x, agent.y), goal, standing, aside)
    if way is None:
        return None
    return attrs.evolve(walking, path=way, blocked=0, replans=walking.replans + 1)


# The step, all together


def _walk(turn: Turn, walkers: list[Stepping]) -> None:
    ready = _with_ways(turn, walkers)
    x0, y0 = (part * CHUNK_SIZE for part in chunk_coordinates(turn.chunk.id))
    x1, y1 = x0 + CHUNK_SIZE, y0 + CHUNK_SIZE
    inside: list[Stepping] = []
    claims: dict[Spot, Agent] = {}
    for stepping in ready:
        agent, walking = stepping
        dx, dy = STEPS[walking.path[0]]
        x, y = agent.x + dx, agent.y + dy
        if x0 <= x < x1 and y0 <= y < y1:
            inside.append(stepping)
            rival = claims.setdefault((x, y), agent)
            if rival is not agent:
                claims[x, y] = min(
                    agent, rival, key=lambda one: (turn.draw("step", one.id), one.id)
                )
        else:
            _depart(turn, agent, walking, (x, y))
    steps = movers(claims, turn.occupants)
    for agent, walking in inside:
        spot = steps.get(agent.id)
        if spot is None:
            _stay(turn, agent, walking)
        else:
            _step(turn, agent, walking, spot)


def movers(claims: Mapping[Spot, Agent], occupants: Mapping[Spot, AgentId]) -> dict[AgentId, Spot]:
    """Return who of the claimants may step, and where to."""
    steps: dict[AgentId, Spot] = {}
    behind: list[tuple[Spot, Agent]] = []
    for spot, agent in claims.items():
        if spot in occupants:
            behind.append((spot, agent))
        else:
            steps[agent.id] = spot
    if behind:
        _follow(behind, occupants, steps)
    return steps


def _follow(
    behind: Iterable[tuple[Spot, Agent]],
    occupants: Mapping[Spot, AgentId],
    steps: dict[AgentId, Spot],
) -> None:
    """Add to ``steps`` those whose cell is left in this tick.

    A cell has one claimant and a claimant one cell, so whoever follows from occupant to occupant
    ends at one who steps, at one who does not, or where he began: in a ring.
    """
    wants = {agent.id: (spot, agent) for spot, agent in behind}
    while wants:
        id, (spot, agent) = wants.popitem()
        chain = {id: spot}
        while (ahead := occupants[spot]) in wants:
            here = (agent.x, agent.y)
            spot, agent = wants.pop(ahead)
            if spot == here:
                break  # They want each other's cell.
            chain[ahead] = spot
        else:
            if ahead in steps or (ahead == id and len(chain) > 2):
                steps.update(chain)


def _step(turn: Turn, agent: Agent, walking: Walking, spot: Spot) -> None:
    # Most of the world's time is spent here: values are made directly, not evolved.
    x, y = spot
    turn.events.append(Moved(agent.id, x, y))
    path = walking.path[1:]
    doing = Walking(walking.id, walking.x, walking.y, path, 0, 0, walking.replans, walking.refusals)
    moved = Agent(agent.id, agent.name, agent.session, agent.seq, x, y, doing)
    turn.agents[agent.id] = moved
    if not path:
        turn.finish(moved, walking.id)


def _stay(turn: Turn, agent: Agent, walking: Walking) -> None:
    turn.begin(agent, attrs.evolve(walking, blocked=walking.blocked + 1))


def _depart(turn: Turn, agent: Agent, walking: Walking, spot: Spot) -> None:
    chunk = turn.chunk
    transfer = TransferId(f"{chunk.id}.{chunk.generation}@{turn.tick}#{agent.id}")
    target = chunk_id(spot[0] // CHUNK_SIZE, spot[1] // CHUNK_SIZE)
    fresh = Walking(walking.id, walking.x, walking.y)
    traveller = attrs.evolve(agent, x=spot[0], y=spot[1], doing=fresh)
    turn.effects.append(Departing(transfer, target, traveller))
    frozen = attrs.evolve(walking, path="", blocked=0)
    turn.agents[agent.id] = attrs.evolve(agent, doing=frozen, transfer=transfer)


def _next_spot(agent: Agent, walking: Walking) -> Spot:
    dx, dy = STEPS[walking.path[0]]
    return agent.x + dx, agent.y + dy
