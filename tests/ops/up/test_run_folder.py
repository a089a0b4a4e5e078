from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import Misconfigured
from ops.up import run_folder
from ops.up.run_folder import Running


def test_a_file_says_which_process_does_what(tmp_path: Path) -> None:
    run_folder.write(tmp_path, Running("gateway", 1, 42, 8081, 9001))

    assert json.loads((tmp_path / "gateway-1.json").read_text()) == {
        "role": "gateway",
        "n": 1,
        "pid": 42,
        "port": 8081,
        "metrics_port": 9001,
    }


def test_a_process_without_metrics_has_no_such_field(tmp_path: Path) -> None:
    run_folder.write(tmp_path, Running("redis", 0, 42, 6379))

    assert "metrics_port" not in json.loads((tmp_path / "redis-0.json").read_text())
    assert run_folder.read(tmp_path, "redis", 0) == Running("redis", 0, 42, 6379)


def test_a_process_is_listed_for_as_long_as_it_serves(tmp_path: Path) -> None:
    with run_folder.listed(tmp_path, Running("shard", 0, 42, 1)):
        assert run_folder.read(tmp_path, "shard", 0) is not None
    assert list(tmp_path.iterdir()) == []


def test_without_a_folder_nobody_is_listed() -> None:
    with run_folder.listed(None, Running("shard", 0, 42, 1)):
        pass


def test_data_is_one_supervisors_at_a_time(tmp_path: Path) -> None:
    with run_folder.held(tmp_path / "data"):
        with pytest.raises(Misconfigured, match=f"process {os.getpid()}"):
            run_folder.held(tmp_path / "data").__enter__()
    with run_folder.held(tmp_path / "data"):
        pass


def test_where_nothing_was_kept_nothing_is_left(tmp_path: Path) -> None:
    with run_folder.held(tmp_path / "new" / "data"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_stays_and_so_does_what_is_in_it(tmp_path: Path) -> None:
    with run_folder.held(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
    with run_folder.held(tmp_path):
        (tmp_path / "redis").mkdir()
    assert {path.name for path in tmp_path.iterdir()} == {"redis", "run", "lock"}


def test_only_the_owner_may_look_into_new_data(tmp_path: Path) -> None:
    with run_folder.held(tmp_path / "data"):
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_a_listed_process_that_lives_is_a_survivor(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        run_folder.write(tmp_path, Running("shard", 0, process.pid, 1))
        assert run_folder.survivors(tmp_path) == {process.pid}
        process.kill()
    assert run_folder.survivors(tmp_path) == frozenset()


def test_somebody_who_got_the_number_later_is_no_survivor(tmp_path: Path) -> None:
    run_folder.write(tmp_path, Running("shard", 0, os.getpid(), 1))
    os.utime(tmp_path / "shard-0.json", (0, 0))

    assert run_folder.survivors(tmp_path) == frozenset()


def test_cleaning_removes_files_and_drafts(tmp_path: Path) -> None:
    run_folder.write(tmp_path, Running("shard", 0, 2**30, 1))  # No kernel counts that far.
    (tmp_path / ".gateway-0.json.42").write_text("half of")
    (tmp_path / "bad.json").write_text("half of")

    assert run_folder.survivors(tmp_path) == frozenset()
    run_folder.clean(tmp_path)

    assert list(tmp_path.iterdir()) == []
