from __future__ import annotations

from common.grid import Tick
from ops.bench.settlers import TICK, crowd, idlers, square, walkers
from shard.world.idle import is_idle
from shard.world.state import Chunk
from shard.world.terrain import terrain_of
from shard.world.tick import advance

SEED = 7


def test_walkers_walk_for_as_long_as_they_were_told_to() -> None:
    for chunk in walkers(SEED, square(4), walkers=20, steps=100, standing=0):
        for _ in range(100):
            result = advance(chunk, ())
            assert len(result.events) == 20
            chunk = result.chunk


def test_the_same_seed_gives_the_same_world() -> None:
    def world() -> list[Chunk]:
        return list(walkers(SEED, square(2), walkers=3, steps=9, standing=2))

    assert world() == world()


def test_some_stand_beside_them() -> None:
    (chunk,) = walkers(SEED, square(1), walkers=3, steps=9, standing=2)
    assert sum(agent.doing is None for agent in chunk.agents.values()) == 2


def test_a_crowd_wants_to_one_cell_from_cells_of_its_own() -> None:
    chunk = crowd(SEED, square(1)[0], 200)
    terrain = terrain_of(SEED, chunk.id, 1)
    spots = {(agent.x, agent.y) for agent in chunk.agents.values()}
    assert len(spots) == 200
    assert all(terrain.is_floor(*spot) for spot in spots)
    assert len(advance(chunk, ()).events) > 150


def test_nobody_in_an_idle_chunk_does_anything() -> None:
    chunks = list(idlers(SEED, square(9)))
    assert all(is_idle(chunk) and chunk.tick == TICK == Tick(1) for chunk in chunks)
