"""Who lives in a world under measure: chunks and agents as values, drawn from a seed.

Pure. Whoever walks for as long as a measurement takes goes round: out by one way and back by
another, so that a chunk's walkers follow each other. With 200 commands a second nobody could keep
20,000 walking otherwise: a walk through a chunk is over after some seconds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from common.grid import AgentId, ChunkId, CommandId, SessionId, Tick, chunk_id
from shard.world.path import find_path
from shard.world.state import Agent, Chunk, Walking
from shard.world.terrain import STEPS, Spot, Terrain, terrain_of

TICK = Tick(1)  # All chunks begin here, the first tick that can have been published.
ROUND_STEPS_MIN = 40  # Room for twenty who follow each other, every second cell free.
TRIES_MAX = 200


def square(count: int) -> list[ChunkId]:
    """Return ``count`` chunks that lie together."""
    side = max(1, round(count**0.5))
    return [chunk_id(number % side, number // side) for number in range(count)]


def walkers(
    seed: int, chunks: Sequence[ChunkId], walkers: int, steps: int, standing: int
) -> Iterator[Chunk]:
    """Yield each chunk with ``walkers`` who go round for ``steps`` steps, and some who stand."""
    for id in chunks:
        terrain, chance = terrain_of(seed, id, 1), random.Random(f"{seed} {id}")  # noqa: S311 - one seed, one crowd.
        spots, way = _round(terrain, chance)
        agents = [
            agent(id, n, spots[at], _rounds(terrain, spots, way, at, steps))
            for n in range(walkers)
            for at in (n * len(way) // walkers,)
        ]
        free = [spot for spot in terrain.floor() if spot not in set(spots)]
        places = chance.sample(free, standing)
        agents += [agent(id, walkers + n, place) for n, place in enumerate(places)]
        yield _chunk(seed, id, agents)


def idlers(seed: int, chunks: Sequence[ChunkId]) -> Iterator[Chunk]:
    """Yield each chunk with one agent who stands. It is nowhere looked at what he stands on."""
    for id in chunks:
        cx, cy = (int(part) for part in id.split(":"))
        yield _chunk(seed, id, [agent(id, 0, (cx * 50, cy * 50))])


def crowd(seed: int, id: ChunkId, count: int) -> Chunk:
    """Return a chunk in which ``count`` agents are about to set out for one cell."""
    terrain, chance = terrain_of(seed, id, 1), random.Random(f"{seed} crowd")  # noqa: S311 - one seed, one crowd.
    goal, *places = chance.sample(terrain.floor(), count + 1)
    return _chunk(
        seed,
        id,
        [agent(id, n, place, Walking(CommandId("c-1"), *goal)) for n, place in enumerate(places)],
    )


def agent(chunk: ChunkId, n: int, at: Spot, doing: Walking | None = None) -> Agent:
    """Ids are as long as real ones, so that memory and bytes are."""
    name = f"{chunk}.{n}".replace(":", ".").rjust(21, "0")
    return Agent(AgentId(f"agt_{name}"), f"bench-{n}", SessionId(f"ses_{name}"), 1, *at, doing)


def _chunk(seed: int, id: ChunkId, agents: Sequence[Agent]) -> Chunk:
    return Chunk(id, 1, seed, TICK, TICK, {agent.id: agent for agent in agents})


def _rounds(terrain: Terrain, spots: Sequence[Spot], way: str, at: int, steps: int) -> Walking:
    """Return a walk of ``steps`` steps and some: round and round from ``spots[at]``, then aside.

    Nobody's way leads over his goal, as no shortest way does.
    """
    path = (way * (steps // len(way) + 3))[at:]
    for length in range(steps, steps + len(way)):
        x, y = spots[(at + length) % len(way)]
        for step, (dx, dy) in STEPS.items():
            goal = (x + dx, y + dy)
            if terrain.is_floor(*goal) and goal not in spots:
                return Walking(CommandId("c-1"), *goal, path[:length] + step, Tick(TICK + 1))
    raise AssertionError(f"a way round without a floor beside it at {spots[at]}")


def _round(terrain: Terrain, chance: random.Random) -> tuple[list[Spot], str]:
    """Return the cells of a way round, and its steps: from the first to the first."""
    floor = terrain.floor()
    for _ in range(TRIES_MAX):
        here, there = chance.sample(floor, 2)
        out = find_path(terrain, here, (there,)) or ""
        spots = _cells(here, out)
        back = find_path(terrain, there, (here,), spots[1:-1])
        if back and len(out) > 1 and len(out) + len(back) >= ROUND_STEPS_MIN:
            return [*spots, *_cells(there, back)[1:-1]], out + back
    raise AssertionError(f"no way round in the chunk at {terrain.x0}, {terrain.y0}")


def _cells(start: Spot, path: str) -> list[Spot]:
    cells = [start]
    for step in path:
        dx, dy = STEPS[step]
        cells.append((cells[-1][0] + dx, cells[-1][1] + dy))
    return cells
