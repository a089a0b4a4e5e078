from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.times import timestamp, timestamp_of


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 1, 0, 0, 2, tzinfo=UTC), "2026-01-01T00:00:02.000Z"),
        (datetime(2026, 1, 1, 0, 0, 2, 999_999, UTC), "2026-01-01T00:00:02.999Z"),
        (datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), "2026-01-01T00:00:00.000Z"),
    ],
)
def test_a_moment_is_written_in_utc_with_milliseconds(moment: datetime, text: str) -> None:
    assert timestamp(moment) == text


@given(st.integers(0, 4_000_000_000_000))
def test_unix_time_is_written_the_same(unix_ms: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=unix_ms)
    assert timestamp_of(unix_ms) == timestamp(moment)
