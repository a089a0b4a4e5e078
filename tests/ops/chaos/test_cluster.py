from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from ops.chaos.cluster import Cluster, Size, fallen
from ops.up.run_folder import Running
from shard.loader import SPOILT

ENDED = "it ended and is started again"
TRACEBACK = "  + Exception Group Traceback (most recent call last):"


@pytest.mark.parametrize(
    "line",
    [
        {"event": TRACEBACK, "child": "shard-1"},
        {"event": ENDED, "name": "gateway-0", "code": -11},
        {"event": SPOILT, "chunk": "0:0", "error": "AssertionError()", "level": "error"},
    ],
)
def test_who_fell_over_a_bug_is_found(line: dict[str, object]) -> None:
    assert fallen(json.dumps(line).encode()) is not None


@pytest.mark.parametrize(
    "line",
    [
        {"event": ENDED, "name": "gateway-0", "code": -9},
        {"event": ENDED, "name": "gateway-0", "code": 1},
        {"event": ENDED, "name": "postgres-0", "code": 2},
        {"event": "request", "process": "gateway-0"},
        [],
    ],
)
def test_who_was_killed_or_lacks_a_server_is_not(line: object) -> None:
    assert fallen(json.dumps(line).encode()) is None


def test_who_ends_well_without_having_been_told_has_fallen() -> None:
    cluster = Cluster(Size(), Path(), 0)
    ended = {"event": ENDED, "name": "shard-1", "code": 0}
    cluster.hear(json.dumps(ended).encode())
    assert cluster.fallen == ["shard-1 ended with 0"]


def test_who_was_told_may_end_well_once() -> None:
    cluster = Cluster(Size(), Path(), 0)
    with subprocess.Popen(["/bin/sleep", "10"]) as process:
        cluster.tell_to_end(Running("shard", 1, process.pid, None))
        assert process.wait() == -signal.SIGTERM
    for name in ("shard-1", "shard-0", "shard-1"):
        ended = {"event": ENDED, "name": name, "code": 0}
        cluster.hear(json.dumps(ended).encode())
    assert cluster.fallen == ["shard-0 ended with 0", "shard-1 ended with 0"]


def test_a_line_that_is_no_json_is_nobodys_fall() -> None:
    assert fallen(b"Traceback (most recent call last)") is None
