"""The way to a goal as far as this chunk goes: to the goal, or out by an exit towards it.

Pure. Only sides that bring the goal's chunk nearer are used, so a route through chunks never
turns back, and as every side of every chunk has an exit it always ends there. What lies behind
the border is not known: it may be of any generation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from common.grid import CHUNK_SIZE
from shard.world.path import find_path, walk
from shard.world.terrain import Spot, Terrain

Door = tuple[Spot, str]
"""A cell at the border, and the step that leads over it from there."""

_ASIDE_MIN = 3  # Cells between a refused exit and the next one tried: beyond its crowd.


def find_way(
    terrain: Terrain,
    start: Spot,
    goal: Spot,
    blocked: Collection[Spot] = frozenset(),
    aside: bool = False,
) -> str | None:
    """Return the steps to ``goal``, or to an exit and over the border; None when there are none.

    ``aside``: an exit right here was refused, so take another one, if there is one.
    """
    if terrain.contains(*goal):
        return find_path(terrain, start, (goal,), blocked)
    doors = _doors(terrain, goal)
    if aside:
        doors = [door for door in doors if _distance(door[0], start) >= _ASIDE_MIN] or doors
    free = [door for door in doors if door[0] not in blocked]
    if not free:
        return None
    best, side = _cheapest(free, start, goal)
    path = find_path(terrain, start, (best,), blocked)
    return path + side if path is not None else _any_way(terrain, start, free, blocked)


def sides_towards(terrain: Terrain, goal: Spot) -> str:
    """Return the one or two of "NESW" that lead nearer to ``goal``, the farther axis first."""
    dx = goal[0] // CHUNK_SIZE - terrain.x0 // CHUNK_SIZE
    dy = goal[1] // CHUNK_SIZE - terrain.y0 // CHUNK_SIZE
    across, down = "W E"[(dx > 0) - (dx < 0) + 1], "N S"[(dy > 0) - (dy < 0) + 1]
    return (across + down if abs(dx) >= abs(dy) else down + across).replace(" ", "")


def _doors(terrain: Terrain, goal: Spot) -> list[Door]:
    return [(cell, side) for side in sides_towards(terrain, goal) for cell in terrain.exits[side]]


def _any_way(
    terrain: Terrain,
    start: Spot,
    doors: Collection[Door],
    blocked: Collection[Spot],
) -> str | None:
    """Return the way to the nearest door that can be reached at all."""
    path = find_path(terrain, start, [cell for cell, _ in doors], blocked)
    if path is None:
        return None
    end = walk(start, path)
    return path + next(side for cell, side in doors if cell == end)


def _cheapest(doors: Iterable[Door], start: Spot, goal: Spot) -> Door:
    """Return the one with the shortest way through it; among equals the nearest, the first."""
    x, y = start
    goal_x, goal_y = goal

    def cost(door: Door) -> tuple[int, int]:
        # Without _distance: up to a hundred doors are asked about for each way.
        door_x, door_y = door[0]
        near = abs(door_x - x) + abs(door_y - y)
        return near + abs(door_x - goal_x) + abs(door_y - goal_y), near

    return min(doors, key=cost)


def _distance(one: Spot, other: Spot) -> int:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])
