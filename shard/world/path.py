"""The shortest way over the floor of one chunk, in steps of "NESW".

Pure. It knows nothing of borders or of who is where: ``blocked`` is all that it is told. A*
with the distance to the box around the goals as its estimate. A step changes that by one at
most, so three stacks take the place of a heap. The same question always gets the same way.
"""

from __future__ import annotations

from collections.abc import Collection

from shard.world.landscape import WIDTH
from shard.world.terrain import STEPS, Spot, Terrain


def find_path(
    terrain: Terrain,
    start: Spot,
    goals: Collection[Spot],
    blocked: Collection[Spot] = frozenset(),
) -> str | None:
    """Return the steps from ``start`` to the nearest of ``goals``; None when there is no way.

    The floor of a chunk is one piece: with nothing ``blocked``, only goals that are no floor of
    this chunk are out of reach, and that is seen without a search, as is a goal that is blocked.
    """
    floor = terrain.open_but(blocked)
    targets = {terrain.index_of(x, y) for x, y in goals if terrain.contains(x, y)}
    targets = {target for target in targets if floor[target]}
    origin = terrain.index_of(*start)
    if start in goals:
        return ""
    if not targets:
        return None
    floor[origin] = 1  # Whoever asks stands there.
    return _search(floor, origin, targets)


def walk(start: Spot, path: str) -> Spot:
    """Return where ``path`` leads from ``start``."""
    x, y = start
    for step in path:
        dx, dy = STEPS[step]
        x, y = x + dx, y + dy
    return x, y


def _search(floor: bytearray, origin: int, targets: set[int]) -> str | None:
    """Search ``floor``, closing cells in it; written for speed, see the test for what it takes."""
    columns = [target % WIDTH for target in targets]
    lines = [target // WIDTH for target in targets]
    left, right, top, bottom = min(columns), max(columns), min(lines), max(lines)
    steps = [""] * len(floor)
    # Cells by what a way through them takes at the least: as little as now, one more, two more.
    now: list[tuple[int, str]] = [(origin, "")]
    more: list[tuple[int, str]] = []
    most: list[tuple[int, str]] = []
    while now or more or most:
        while now:
            cell, step = now.pop()
            if not floor[cell]:
                continue
            floor[cell] = 0
            steps[cell] = step
            if cell in targets:
                return _trace(steps, cell)
            line, column = divmod(cell, WIDTH)
            # The last one pushed is tried first: ties go the way of the last in "NSWE".
            if floor[cell - WIDTH]:
                (now if line > bottom else more if line > top else most).append((cell - WIDTH, "N"))
            if floor[cell + WIDTH]:
                (now if line < top else more if line < bottom else most).append((cell + WIDTH, "S"))
            if floor[cell - 1]:
                (now if column > right else more if column > left else most).append((cell - 1, "W"))
            if floor[cell + 1]:
                (now if column < left else more if column < right else most).append((cell + 1, "E"))
        now, more, most = more, most, []
    return None


_BACK = {"N": WIDTH, "S": -WIDTH, "W": 1, "E": -1}


def _trace(steps: list[str], cell: int) -> str:
    path = []
    while step := steps[cell]:
        path.append(step)
        cell += _BACK[step]
    return "".join(reversed(path))
