from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.grid import ChunkId, Tick
from gateway.stream.position import Mark
from gateway.stream.view import View, read_view
from tests.gateway.stream.scripted import HERE, THERE

ID = "1.120.0~0~1~0.7~7~1~3"


def test_a_view_is_a_list_of_chunks_in_order() -> None:
    assert read_view(b"chunks=1:0,0:0,-3:-12") == View((THERE, HERE, ChunkId("-3:-12")))
    assert read_view(b"chunks=1%3A0%2C0%3A0&cache=no") == View((THERE, HERE))


@pytest.mark.parametrize(
    "query",
    [
        b"", b"chunks=", b"chunk=0:0", b"chunks=0", b"chunks=0:0,", b"chunks=0:0,,1:0",
        b"chunks=a:b", b"chunks=0:0:0", b"chunks=-0:0", b"chunks=00:0", b"chunks=1.5:0",
        b"chunks= 0:0", b"chunks=0:0;1:0", b"chunks=0:0,0:0", b"chunks=0:0&chunks=1:0",
        b"chunks=42949673:0", b"chunks=0:-42949674", b"chunks=" + b"9" * 5000 + b":0",
        b"chunks=" + b",".join(b"%d:0" % x for x in range(26)), b"chunks=\xff\xfe", b"chunks=%ff",
    ],
)  # fmt: skip
def test_what_is_no_view_is_refused_with_reasons(query: bytes) -> None:
    faults = read_view(query)
    assert not isinstance(faults, View)
    assert faults
    assert all(fault.path.startswith("chunks") and fault.message for fault in faults)


def test_the_world_ends_where_coordinates_do() -> None:
    assert isinstance(read_view(b"chunks=42949672:-42949673"), View)


def test_twenty_five_chunks_are_a_view() -> None:
    query = b"chunks=" + b",".join(b"%d:0" % x for x in range(25))
    assert isinstance(read_view(query), View)


def test_the_header_wins_over_the_url_and_names_only_what_is_in_view() -> None:
    view = read_view(b"chunks=0:0,1:0&last_event_id=1.5.1~0~1~0", ID)
    assert view == View((HERE, THERE), came_back=True, position={HERE: Mark(1, Tick(120))})
    from_url = read_view(b"chunks=0:0,1:0&last_event_id=1.5.1~0~1~0")
    assert from_url == View((HERE, THERE), came_back=True, position={THERE: Mark(1, Tick(5))})


def test_an_id_that_is_none_of_ours_is_said_so() -> None:
    assert read_view(b"chunks=0:0", "who knows") == View((HERE,), came_back=True, position=None)


@given(st.binary(), st.text())
def test_any_query_is_answered(query: bytes, last_event_id: str) -> None:
    view = read_view(query, last_event_id)
    assert isinstance(view, View) or view
