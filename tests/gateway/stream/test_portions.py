from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.limits import SEND_BYTES_MAX
from gateway.stream.portions import in_portions
from gateway.stream.telling import Line

SIZES = st.lists(st.integers(0, SEND_BYTES_MAX + 10), max_size=20)


@given(SIZES)
def test_every_line_comes_once_in_order_and_portions_are_small(sizes: list[int]) -> None:
    lines = [Line(str(number), b"x" * size) for number, size in enumerate(sizes)]
    portions = list(in_portions(lines))
    assert [line for portion in portions for line in portion] == lines
    for portion in portions:
        assert portion
        assert len(portion) == 1 or sum(len(line.data) for line in portion) <= SEND_BYTES_MAX


def test_small_lines_go_together() -> None:
    assert len(list(in_portions([Line("a", b"x")] * 5))) == 1
