from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.grid import (
    Cell,
    ChunkId,
    Direction,
    chunk_coordinates,
    chunk_distance,
    chunk_id,
    slot_of,
)

coordinates = st.integers(-(2**31), 2**31)


def test_a_cell_left_of_the_origin_lies_in_the_chunk_left_of_it() -> None:
    assert Cell(-1, 0).chunk == "-1:0"
    assert Cell(49, 50).chunk == "0:1"


@given(coordinates, coordinates)
def test_a_chunk_id_says_its_coordinates(cx: int, cy: int) -> None:
    assert chunk_coordinates(chunk_id(cx, cy)) == (cx, cy)


@pytest.mark.parametrize(
    "text", ["", "0", "0:", ":0", "00:0", "+1:0", "1:0 ", "1:0:0", "a:b", "-0:0"]
)
def test_a_chunk_is_written_in_one_way_only(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        chunk_coordinates(ChunkId(text))


def test_diagonal_chunks_are_one_apart() -> None:
    assert chunk_distance(ChunkId("0:0"), ChunkId("-1:1")) == 1
    assert chunk_distance(ChunkId("0:0"), ChunkId("4:-2")) == 4


def test_a_step_there_and_back_ends_where_it_began() -> None:
    for there, back in (("NORTH", "SOUTH"), ("EAST", "WEST")):
        assert Cell(3, 4).step(Direction[there]).step(Direction[back]) == Cell(3, 4)


def test_the_slot_of_a_chunk_never_changes() -> None:
    """Pinned: another answer would send commands to a shard that has not the chunk."""
    ids = [chunk_id(cx, cy) for cy in (-1, 0, 1) for cx in (-1, 0, 1)]
    assert [slot_of(id, 2) for id in ids] == [0, 1, 0, 1, 0, 1, 1, 0, 0]
    assert [slot_of(id, 8) for id in ids] == [0, 5, 0, 5, 2, 3, 5, 4, 6]
