from __future__ import annotations

import json

import pytest

from ops.chaos.cluster import fallen

ENDED = "it ended and is started again"
TRACEBACK = "  + Exception Group Traceback (most recent call last):"


@pytest.mark.parametrize(
    "line",
    [
        {"event": TRACEBACK, "child": "shard-1"},
        {"event": ENDED, "name": "gateway-0", "code": -11},
    ],
)
def test_who_fell_over_a_bug_is_found(line: dict[str, object]) -> None:
    assert fallen(json.dumps(line).encode()) is not None


@pytest.mark.parametrize(
    "line",
    [
        {"event": ENDED, "name": "gateway-0", "code": -9},
        {"event": ENDED, "name": "gateway-0", "code": 1},
        {"event": ENDED, "name": "shard-0", "code": 0},
        {"event": ENDED, "name": "postgres-0", "code": 2},
        {"event": "request", "process": "gateway-0"},
        [],
    ],
)
def test_who_was_killed_or_lacks_a_server_is_not(line: object) -> None:
    assert fallen(json.dumps(line).encode()) is None


def test_a_line_that_is_no_json_is_nobodys_fall() -> None:
    assert fallen(b"Traceback (most recent call last)") is None
