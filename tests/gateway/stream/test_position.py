from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.grid import ChunkId, Tick, chunk_id
from gateway.stream.position import Mark, decode, encode, ids_of
from tests.gateway.stream.scripted import HERE, THERE

coordinates = st.integers(-42_949_673, 42_949_672)
chunks = st.builds(chunk_id, coordinates, coordinates)
marks = st.builds(Mark, st.integers(0, 10**6), st.integers(0, 10**12).map(Tick))
positions = st.dictionaries(chunks, marks, min_size=1, max_size=25)


@given(positions)
def test_a_position_survives_the_way_to_the_client_and_back(
    position: dict[ChunkId, Mark],
) -> None:
    assert decode(encode(position)) == position


@given(st.data(), positions)
def test_many_ids_of_one_chunk_are_what_one_at_a_time_would_be(
    data: st.DataObject, position: dict[ChunkId, Mark]
) -> None:
    chunk = data.draw(st.sampled_from(sorted(position)))
    near = data.draw(st.sampled_from([mark.tick for mark in position.values()]))
    ticks = [Tick(near + step) for step in range(3)]
    ticks += data.draw(st.lists(st.integers(0, 10**12).map(Tick)))
    one_at_a_time = [
        encode({**position, chunk: Mark(position[chunk].generation, tick)}) for tick in ticks
    ]
    assert list(ids_of(position, chunk, ticks)) == one_at_a_time


@given(positions)
def test_an_id_is_safe_in_headers_urls_and_event_streams(position: dict[ChunkId, Mark]) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._~-]+", encode(position))


def test_an_id_is_short() -> None:
    near = {
        chunk_id(x, y): Mark(1, Tick(1_000_000 + 7 * x + y)) for x in range(5) for y in range(5)
    }
    assert len(encode(near)) < 300
    assert encode({HERE: Mark(1, Tick(120)), THERE: Mark(2, Tick(123))}) == "1.120.0~0~1~0.1~0~2~3"


@pytest.mark.parametrize(
    "garbage",
    [
        "", "1", "1.", "1.5", "1.5.", "2.120.0~0~1~0", "1.120.0~0~1", "1.120.0~0~1~0.",
        "1.120.0~0~1~0.0~0~1~0", "1.120.00~0~1~0", "1.120.-0~0~1~0", "1.0120.0~0~1~0",
        "1.120.0~0~1~5", "1.120.0~0~1~-1", "1.120.0~0~1~٣", "1.120.0~0~1~0\n", " 1.120.0~0~1~0",
        "1.99999999999999999999.0~0~1~0", "1.120" + ".0~0~1~0" * 26, "17", "evt_42", "\0",
    ],
)  # fmt: skip
def test_what_is_no_id_of_ours_is_none(garbage: str) -> None:
    assert decode(garbage) is None


@given(st.text())
def test_any_text_at_all_is_answered(text: str) -> None:
    decoded = decode(text)
    assert decoded is None or encode(decoded) == text
