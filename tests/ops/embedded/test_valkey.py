from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from ops.embedded import valkey
from ops.embedded.launch import Launch


def test_only_the_owner_can_read_what_is_secret(tmp_path: Path) -> None:
    folder = tmp_path / "redis"

    launch = valkey.prepare(folder)

    password = launch.url.split(":")[2].split("@")[0]
    assert all(password not in word for word in launch.argv)
    holders = [path for path in folder.iterdir() if password in path.read_text()]
    assert {path.name for path in holders} == {"password", "valkey.conf"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in holders)


def test_the_same_folder_gives_the_same_address(tmp_path: Path) -> None:
    assert valkey.prepare(tmp_path) == valkey.prepare(tmp_path)


def test_two_folders_have_different_passwords(tmp_path: Path) -> None:
    assert valkey.prepare(tmp_path / "one").url != valkey.prepare(tmp_path / "other").url


def test_a_port_that_somebody_took_is_left_to_them(tmp_path: Path) -> None:
    before = valkey.prepare(tmp_path)
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", before.port))
        thief.listen()

        assert valkey.prepare(tmp_path).port != before.port


@pytest.mark.embedded
def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    with _running(valkey.prepare(folder)) as client:
        client.set("tile", "42")

    with _running(valkey.prepare(folder)) as client:
        assert client.get("tile") == b"42"


@pytest.mark.embedded
def test_without_the_password_nothing_is_answered(tmp_path: Path) -> None:
    launch = valkey.prepare(tmp_path)
    with (
        _running(launch),
        redis.Redis(port=launch.port) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.get("tile")


@contextmanager
def _running(launch: Launch) -> Iterator[redis.Redis]:
    process = subprocess.Popen(launch.argv, stdout=subprocess.DEVNULL)
    try:
        with redis.Redis.from_url(launch.url) as client:
            _wait_until_ready(client)
            yield client
    finally:
        process.terminate()
        assert process.wait(10) == 0


def _wait_until_ready(client: redis.Redis) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            client.ping()
        except redis.ConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return
