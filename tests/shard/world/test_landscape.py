from __future__ import annotations

import pytest

from shard.world.lanes import lanes, numbers
from shard.world.landscape import CELLS, _sixth, _third
from shard.world.noise import HEIGHT_MAX


@pytest.mark.parametrize(("divide", "by", "most"), [(_third, 3, 3), (_sixth, 6, 6)])
def test_division_of_all_lanes_is_right_for_all_heights(divide: object, by: int, most: int) -> None:
    """``most``: so many heights are added up before."""
    assert callable(divide)
    for first in range(0, most * HEIGHT_MAX, CELLS):
        some = range(first, first + CELLS)
        assert numbers(divide(lanes(some)), CELLS) == tuple(number // by for number in some)
