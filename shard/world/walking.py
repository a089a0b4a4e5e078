"""Time passes: those who wait count down, those who walk take a step, all of them together.

Pure. The rule of movement, for everybody whose next step stays in the chunk:

- A cell that several want goes to the one who is drawn first; the others stay.
- A cell is free when nobody stands on it or its occupant steps away in the same tick, so queues
  move up whole, and rings of three or more turn. Two may not change places.
- Who could not step waits, BLOCKED_TICKS_MAX ticks at the most. Is the way then barred by somebody
  who stands (does not walk, is frozen, or could not step either), it takes another way round all
  who stand, in an order drawn per tick; there is none, or it took REPLANS_MAX: ``blocked``.

Who must step over the border asks the neighbour (Departing) and stands frozen until Settle. Who
was refused asks at no border for REFUSED_TICKS, also when it is told to do something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from common.events import Moved
from common.grid import CHUNK_SIZE, AgentId, Tick, TransferId, chunk_coordinates, chunk_id
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
        if type(doing) is Walking:
            if not doing.refusals or turn.tick >= agent.asks_from:
                walkers.append((agent, doing))  # Else it was refused, and looks for a way later.
        elif type(doing) is Waiting:
            _wait(turn, agent, doing)
    if walkers:
        _walk(turn, _with_ways(turn, walkers))


def _wait(turn: Turn, agent: Agent, waiting: Waiting) -> None:
    if waiting.ticks > 1:
        turn.begin(agent, Waiting(waiting.id, waiting.ticks - 1))
    else:
        turn.finish(agent, waiting.id)


# Which way


def _with_ways(turn: Turn, walkers: list[Stepping]) -> list[Stepping]:
    """Return those who have a next step: some get a way first, and some find none and fail."""
    # Loops, not any(): for most walkers in most ticks this is all that planning costs.
    for _, walking in walkers:
        if walking.blocked >= BLOCKED_TICKS_MAX:
            walkers = _round_those_who_stand(turn, walkers)
            break
    for index, (agent, walking) in enumerate(walkers):
        if not walking.path:
            walkers[index] = (agent, _with_way(turn, agent, walking))
    return walkers


def _with_way(turn: Turn, agent: Agent, walking: Walking) -> Walking:
    goal, aside = (walking.x, walking.y), walking.refusals > 0
    way = find_way(turn.terrain, (agent.x, agent.y), goal, aside=aside)
    assert way, f"{agent.id} has no way to {goal} in {turn.chunk.id}, whose floor is one piece"
    return attrs.evolve(walking, path=way, start=turn.tick)


def _round_those_who_stand(turn: Turn, walkers: list[Stepping]) -> list[Stepping]:
    flowing = {(agent.x, agent.y) for agent, walking in walkers if not walking.blocked}
    standing = turn.occupants.keys() - flowing
    now: dict[AgentId, Stepping] = {agent.id: (agent, walking) for agent, walking in walkers}
    patient = [agent.id for agent, walking in walkers if walking.blocked >= BLOCKED_TICKS_MAX]
    for id in sorted(patient, key=lambda id: (turn.draw("detour", id), id)):
        agent, walking = now[id]
        if _next_spot(turn, agent, walking) not in standing:
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
    replans = walking.replans + 1
    return attrs.evolve(walking, path=way, start=turn.tick, blocked=0, replans=replans)


# The step, all together


def _walk(turn: Turn, walkers: Iterable[Stepping]) -> None:
    claims, losers = _claims(turn, walkers)
    barred = barred_spots(claims, turn.occupants)
    for spot, (agent, walking) in claims.items():
        if spot in barred:
            losers.append((agent, walking))
        else:
            _step(turn, agent, walking, spot)
    for agent, walking in losers:
        _stay(turn, agent, walking)


def _claims(turn: Turn, walkers: Iterable[Stepping]) -> tuple[dict[Spot, Stepping], list[Stepping]]:
    """Return who has the first right to each wanted cell, and who lost it to another.

    Those whose next cell is in another chunk depart.
    """
    x0, y0 = (part * CHUNK_SIZE for part in chunk_coordinates(turn.chunk.id))
    x1, y1, tick = x0 + CHUNK_SIZE, y0 + CHUNK_SIZE, turn.tick
    claims: dict[Spot, Stepping] = {}
    losers: list[Stepping] = []
    for stepping in walkers:
        agent, walking = stepping
        dx, dy = STEPS[walking.path[tick - walking.start]]
        x, y = spot = (agent.x + dx, agent.y + dy)
        if not (x0 <= x < x1 and y0 <= y < y1):
            if tick >= agent.asks_from:
                _depart(turn, agent, walking, spot)
            else:
                turn.begin(agent, attrs.evolve(walking, start=Tick(walking.start + 1)))
        elif spot in claims:
            claims[spot], loser = _drawn_first(turn, claims[spot], stepping)
            losers.append(loser)
        else:
            claims[spot] = stepping
    return claims, losers


def _drawn_first(turn: Turn, one: Stepping, other: Stepping) -> tuple[Stepping, Stepping]:
    rank = {id: (turn.draw("step", id), id) for id in (one[0].id, other[0].id)}
    return (one, other) if rank[one[0].id] < rank[other[0].id] else (other, one)


def barred_spots(claims: Mapping[Spot, Stepping], occupants: Mapping[Spot, AgentId]) -> set[Spot]:
    """Return the cells of ``claims`` that are not left by their occupants in this tick.

    A cell has one claimant and a claimant one cell. So whoever goes on from occupant to where that
    one wants to be comes to a free cell, to somebody who stays, or back to where he began: a ring.
    """
    taken = claims.keys() & occupants.keys()
    barred: set[Spot] = set()
    wants = {agent.id: spot for spot, (agent, _) in claims.items()} if taken else {}
    while taken:
        spot = taken.pop()
        chain = [spot]
        while (ahead := wants.get(occupants[spot])) in taken and not _swap(claims[spot][0], ahead):
            taken.discard(ahead)
            chain.append(spot := ahead)
        if ahead is None or ahead in barred or _swap(claims[spot][0], ahead):
            barred.update(chain)
    return barred


def _swap(agent: Agent, ahead: Spot | None) -> bool:
    """Whether the one ahead of ``agent`` wants to be where ``agent`` is."""
    return (agent.x, agent.y) == ahead


def _step(turn: Turn, agent: Agent, walking: Walking, spot: Spot) -> None:
    # Most of the world's time is spent here: values are made directly, not evolved.
    x, y = spot
    id = agent.id
    if walking.blocked:
        walking = attrs.evolve(walking, blocked=0)
    turn.events.append(Moved(id, x, y))
    moved = Agent(id, agent.name, agent.session, agent.seq, x, y, walking, None, agent.asks_from)
    turn.agents[id] = moved
    if turn.tick - walking.start + 1 == len(walking.path):
        turn.finish(moved, walking.id)


def _stay(turn: Turn, agent: Agent, walking: Walking) -> None:
    later = Tick(walking.start + 1)
    turn.begin(agent, attrs.evolve(walking, start=later, blocked=walking.blocked + 1))


def _depart(turn: Turn, agent: Agent, walking: Walking, spot: Spot) -> None:
    chunk = turn.chunk
    transfer = TransferId(f"{chunk.id}.{chunk.generation}@{turn.tick}#{agent.id}")
    target = chunk_id(spot[0] // CHUNK_SIZE, spot[1] // CHUNK_SIZE)
    fresh = Walking(walking.id, walking.x, walking.y)
    traveller = attrs.evolve(agent, x=spot[0], y=spot[1], doing=fresh, asks_from=Tick(0))
    turn.effects.append(Departing(transfer, target, traveller))
    frozen = attrs.evolve(walking, path="", start=Tick(0), blocked=0)
    turn.agents[agent.id] = attrs.evolve(agent, doing=frozen, transfer=transfer)


def _next_spot(turn: Turn, agent: Agent, walking: Walking) -> Spot:
    dx, dy = STEPS[walking.path[turn.tick - walking.start]]
    return agent.x + dx, agent.y + dy
