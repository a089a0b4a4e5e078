"""Through chunks, always nearer to the goal's, and over exits only."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.grid import CHUNK_SIZE, chunk_id
from shard.world.path import walk
from shard.world.route import find_way, sides_towards
from shard.world.terrain import Spot, Terrain, terrain_of

HOME = terrain_of(7, chunk_id(0, 0), 1)
FLOOR = HOME.floor()
near = st.integers(-4 * CHUNK_SIZE, 5 * CHUNK_SIZE - 1)


def at(spot: Spot, generation: int = 1) -> Terrain:
    return terrain_of(7, chunk_id(spot[0] // CHUNK_SIZE, spot[1] // CHUNK_SIZE), generation)


def away(spot: Spot, goal: Spot) -> int:
    """Return how many borders lie between, on foot."""
    return sum(
        abs(one // CHUNK_SIZE - other // CHUNK_SIZE) for one, other in zip(spot, goal, strict=True)
    )


@given(st.integers(0, 2_499), near, near, st.integers(1, 3))
@settings(max_examples=60)
def test_each_border_brings_the_goal_one_chunk_nearer(
    start: int, x: int, y: int, generation: int
) -> None:
    floor = at((0, 0), generation).floor()
    spot, goal = floor[start % len(floor)], (x, y)
    while left := away(spot, goal):
        way = find_way(at(spot, generation), spot, goal)
        assert way
        assert at(walk(spot, way[:-1])) is at(spot), "all steps but the last are in this chunk"
        spot = walk(spot, way)
        assert at(spot, generation).is_floor(*spot)
        assert away(spot, goal) == left - 1
    home = at(spot, generation)
    assert (find_way(home, spot, goal) is not None) == home.is_floor(*goal)


def test_a_goal_in_the_chunk_is_walked_to_directly() -> None:
    way = find_way(HOME, FLOOR[0], FLOOR[500])
    assert way is not None
    assert walk(FLOOR[0], way) == FLOOR[500]


@pytest.mark.parametrize(
    ("goal", "sides"),
    [
        ((120, 3), "E"),
        ((-1, 3), "W"),
        ((3, -1), "N"),
        ((3, 50), "S"),
        ((120, 60), "ES"),
        ((60, 120), "SE"),
        ((-1, -1), "WN"),
    ],
)
def test_only_sides_towards_the_goal_are_used(goal: Spot, sides: str) -> None:
    assert sides_towards(HOME, goal) == sides


@given(st.integers(0, 2_499), st.integers(CHUNK_SIZE, 5 * CHUNK_SIZE - 1), near)
def test_the_exit_with_the_shortest_way_is_taken(start: int, x: int, y: int) -> None:
    """As the crow flies; among equals one that is near."""
    spot, goal = FLOOR[start % len(FLOOR)], (x, y)
    ways = [
        (straight(spot, door) + straight(door, goal), straight(spot, door), door)
        for side in sides_towards(HOME, goal)
        for door in HOME.exits[side]
    ]
    way = find_way(HOME, spot, goal)
    assert way is not None
    out = walk(spot, way[:-1])
    assert (straight(spot, out) + straight(out, goal), straight(spot, out)) == min(ways)[:2]


def straight(one: Spot, other: Spot) -> int:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def test_blocked_exits_are_passed_over() -> None:
    start, goal = HOME.exits["E"][0], (60, 25)
    free = HOME.exits["E"][-1]
    way = find_way(HOME, start, goal, blocked=set(HOME.exits["E"]) - {free})
    assert way is not None
    assert walk(start, way[:-1]) == free
    assert find_way(HOME, start, goal, blocked=set(HOME.exits["E"])) is None


def test_walled_in_exits_give_way_to_those_that_can_be_reached() -> None:
    """The best exit is free, but one can't get there."""
    goal = (120, 25)
    start = (40, 25)
    wall = {(49, y) for y in range(50)} | {(48, y) for y in range(1, 50)}
    open_exit = HOME.exits["E"][0]
    wall -= {open_exit, (48, open_exit[1])}
    best = min(HOME.exits["E"], key=lambda spot: abs(spot[1] - 25))
    way = find_way(HOME, start, goal, blocked=wall - {best})
    assert way is not None
    assert walk(start, way[:-1]) == open_exit


def test_who_was_refused_goes_some_cells_aside() -> None:
    start = HOME.exits["E"][10]
    goal = (start[0] + 20, start[1])
    assert find_way(HOME, start, goal) == "E"
    way = find_way(HOME, start, goal, aside=True)
    assert way is not None
    out = walk(start, way[:-1])
    assert out in HOME.exits["E"]
    assert abs(out[1] - start[1]) >= 3
