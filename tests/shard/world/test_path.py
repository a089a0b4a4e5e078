"""The way is the shortest, always the same, and over floor only."""

from __future__ import annotations

import time
from collections.abc import Collection

from hypothesis import given, settings
from hypothesis import strategies as st

from common.grid import chunk_id
from shard.world.path import find_path, walk
from shard.world.terrain import STEPS, Spot, Terrain, terrain_of

TERRAIN = terrain_of(7, chunk_id(0, 0), 1)
FLOOR = TERRAIN.floor()
spots = st.sampled_from(FLOOR)


def distances(terrain: Terrain, start: Spot, blocked: Collection[Spot]) -> dict[Spot, int]:
    far, frontier = {start: 0}, [start]
    for spot in frontier:
        for step in STEPS:
            onward = walk(spot, step)
            if onward not in far and onward not in blocked and terrain.is_floor(*onward):
                far[onward] = far[spot] + 1
                frontier.append(onward)
    return far


@given(spots, st.lists(spots, min_size=1, max_size=6), st.sets(spots, max_size=400))
@settings(max_examples=150)
def test_it_is_the_shortest_way_to_the_nearest_goal(
    start: Spot, goals: list[Spot], blocked: set[Spot]
) -> None:
    far = distances(TERRAIN, start, blocked)
    path = find_path(TERRAIN, start, goals, blocked)
    reached = [far[goal] for goal in goals if goal in far]
    if path is None:
        assert not reached
        return
    assert len(path) == min(reached)
    assert walk(start, path) in goals
    way = [walk(start, path[: index + 1]) for index in range(len(path))]
    assert all(TERRAIN.is_floor(*spot) and spot not in blocked for spot in way)


@given(spots, spots)
def test_all_floor_can_be_reached(start: Spot, goal: Spot) -> None:
    assert find_path(TERRAIN, start, (goal,)) is not None


def test_a_goal_that_is_no_floor_here_has_no_way() -> None:
    wall = next((x, y) for x in range(50) for y in range(50) if not TERRAIN.is_floor(x, y))
    assert find_path(TERRAIN, FLOOR[0], (wall,)) is None
    assert find_path(TERRAIN, FLOOR[0], ((-1, 3),)) is None
    assert find_path(TERRAIN, FLOOR[0], ()) is None


def test_who_is_there_has_nothing_to_walk() -> None:
    assert find_path(TERRAIN, FLOOR[3], (FLOOR[9], FLOOR[3])) == ""


def test_the_start_may_be_blocked_by_whoever_asks() -> None:
    assert find_path(TERRAIN, FLOOR[0], (FLOOR[5],), {FLOOR[0]}) is not None


def test_ties_are_broken_the_same_way_for_ever() -> None:
    assert find_path(TERRAIN, FLOOR[1000], (FLOOR[1200],)) == "SSSSSEEEEEEEEEEEEEEEN"


def test_a_search_is_fast() -> None:
    """About 55 us of CPU on the machine this was written on; ten times that would be a mistake."""
    pairs = list(zip(FLOOR[::7], FLOOR[::-7], strict=True))
    started = time.process_time()
    for start, goal in pairs:
        find_path(TERRAIN, start, (goal,))
    assert (time.process_time() - started) / len(pairs) < 0.001
