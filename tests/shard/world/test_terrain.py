"""What walkers count on: floor in one piece, borders that fit, an exit on each side."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.grid import CHUNK_SIZE, ChunkId, chunk_coordinates, chunk_id
from shard.world.terrain import STEPS, Spot, Terrain, terrain_of
from tests.shard.world.survey import disagreements, is_one_piece, survey

OPPOSITE = {"N": "S", "E": "W", "S": "N", "W": "E"}
FAR = 2**31 // CHUNK_SIZE
chunks = st.builds(chunk_id, st.integers(-FAR, FAR), st.integers(-FAR, FAR))
seeds = st.integers(-(2**63), 2**63 - 1)
generations = st.integers(1, 5)


def beyond(spot: Spot, step: str) -> Spot:
    return spot[0] + STEPS[step][0], spot[1] + STEPS[step][1]


def neighbour(chunk: ChunkId, step: str) -> ChunkId:
    cx, cy = chunk_coordinates(chunk)
    return chunk_id(cx + STEPS[step][0], cy + STEPS[step][1])


def some_terrains(count: int) -> Iterator[Terrain]:
    for number in range(count):
        yield terrain_of(11, chunk_id(number % 31 - 15, number // 31 - 8), 1 + number % 3)


@given(seeds, chunks, generations)
@settings(max_examples=60)
def test_the_floor_is_one_connected_piece(seed: int, chunk: ChunkId, generation: int) -> None:
    terrain = terrain_of(seed, chunk, generation)
    assert is_one_piece(terrain)


@given(seeds, chunks, generations, generations, st.sampled_from("NESW"))
@settings(max_examples=60)
def test_neighbours_of_any_generation_agree_about_their_border(
    seed: int, chunk: ChunkId, here: int, there: int, step: str
) -> None:
    terrain = terrain_of(seed, chunk, here)
    other = terrain_of(seed, neighbour(chunk, step), there)
    exits = terrain.exits[step]
    assert exits
    assert tuple(beyond(spot, step) for spot in exits) == other.exits[OPPOSITE[step]]
    assert all(terrain.is_floor(*spot) and other.is_floor(*beyond(spot, step)) for spot in exits)


@pytest.mark.slow
def test_10_000_chunks_have_exits_on_each_side_and_one_piece_of_floor_of_the_right_size() -> None:
    count, workers = 10_000, 2
    context = multiprocessing.get_context("spawn")  # pytest may have threads: no fork.
    with ProcessPoolExecutor(workers, context) as pool:
        parts = [range(first, count, workers) for first in range(workers)]
        seen = [one for part in pool.map(survey, parts) for one in part]
    assert len(seen) == count
    assert_land_is_of_the_right_size([one.floor for one in seen])
    assert disagreements(seen) == (19_799, [])  # 9,900 side by side, 9,899 above another.


def test_300_chunks_have_exits_on_each_side_and_one_piece_of_floor_of_the_right_size() -> None:
    seen = survey(range(300))
    assert_land_is_of_the_right_size([one.floor for one in seen])
    assert disagreements(seen) == (496, [])


def assert_land_is_of_the_right_size(shares: list[float]) -> None:
    assert min(shares) > 0.70
    assert max(shares) < 0.90
    assert 0.75 < sum(shares) / len(shares) < 0.85


def test_the_land_is_the_same_for_ever() -> None:
    """If this digest changes, agents may find themselves in rock, and old journals do not replay.

    Then it is as with the digest of the long run in ``test_tick``.
    """
    land = hashlib.blake2b(digest_size=16)
    for number in range(200):
        terrain = terrain_of(11, chunk_id(number % 21 - 10, number // 21 - 5), 1 + number % 3)
        land.update("".join(terrain.rows).encode())
    assert land.hexdigest() == "c7f2f84417e8e1f47e8c3db5f5caef50"


def test_the_land_is_no_noise() -> None:
    """Neighbouring cells are mostly alike: noise of this mixture would agree in two of three."""
    for terrain in some_terrains(40):
        rows = terrain.rows
        alike = sum(row[i] == row[i + 1] for row in rows for i in range(CHUNK_SIZE - 1))
        assert alike / (CHUNK_SIZE * (CHUNK_SIZE - 1)) > 0.85


def test_a_new_generation_changes_the_inside() -> None:
    assert terrain_of(7, chunk_id(0, 0), 1).rows != terrain_of(7, chunk_id(0, 0), 2).rows


def test_the_land_has_rock_and_lakes_and_ruins() -> None:
    land = "".join("".join(terrain.rows) for terrain in some_terrains(40))
    assert land.count("#") > 5_000
    assert land.count("~") > 2_000


def test_floor_is_asked_in_world_coordinates() -> None:
    terrain = terrain_of(7, chunk_id(-1, 0), 1)
    assert (terrain.x0, terrain.y0) == (-50, 0)
    assert terrain.is_floor(-30, 7) == (terrain.rows[7][20] == ".")
    assert not terrain.is_floor(0, 7)
    assert not terrain.is_floor(-51, 7)
