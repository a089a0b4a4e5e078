from __future__ import annotations

from collections.abc import Callable

import pytest

from shard.world.landscape import CELLS, _sixth, _third
from shard.world.lanes import lanes, numbers
from shard.world.noise import HEIGHT_MAX


@pytest.mark.parametrize(("divide", "by"), [(_third, 3), (_sixth, 6)])
def test_division_of_all_lanes_is_right_for_all_heights(
    divide: Callable[[int], int], by: int
) -> None:
    for first in range(0, by * HEIGHT_MAX, CELLS):  # So many heights are added up before.
        some = range(first, first + CELLS)
        assert numbers(divide(lanes(some)), CELLS) == tuple(number // by for number in some)
