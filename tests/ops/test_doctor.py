from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ops import doctor


def test_a_healthy_machine_has_nothing_to_mend(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    assert doctor.examine({}, port, tmp_path / "data")

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7
    assert all(line.startswith("ok") for line in lines)
    assert not (tmp_path / "data").exists()


def test_every_trouble_is_named_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert not doctor.examine({"TESSERA_AGENTS_MAX": "many"}, port, tmp_path / "file")

    said = capsys.readouterr().out
    assert f"port {port} is in use: choose another with --port" in said
    assert "TESSERA_AGENTS_MAX" in said
    assert "choose another folder with --data" in said
    assert said.count("wrong") == 3


def test_a_full_disk_is_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DISK_BYTES_MIN", 2**80)

    assert "make room" in doctor.check_data(tmp_path).advice


@pytest.mark.parametrize(
    "url", ["redis://:swordfish@127.0.0.1:1/0", "redis://:swordfish@nowhere.invalid"]
)
def test_an_unreachable_redis_is_named_without_its_password(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "REACH_SECONDS_MAX", 0.0)

    finding = doctor.check_redis(url)

    assert "REDIS_URL" in finding.advice
    assert "swordfish" not in str(finding)


def test_an_unreachable_database_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "REACH_SECONDS_MAX", 0.0)

    finding = doctor.check_postgres("postgresql://me:swordfish@127.0.0.1:1/world")

    assert "DATABASE_URL" in finding.advice
    assert "swordfish" not in str(finding)


def test_a_server_that_is_named_is_looked_at_though_another_setting_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "REACH_SECONDS_MAX", 0.0)
    environment = {
        "DATABASE_URL": "postgresql://me:swordfish@127.0.0.1:1/world",
        "REDIS_URL": "http://:swordfish@r",
        "TESSERA_AGENTS_MAX": "many",
    }

    assert not doctor.examine(environment, 0, tmp_path)

    said = capsys.readouterr().out
    assert "PostgreSQL     not reachable" in said
    assert "embedded" not in said
    assert "REDIS_URL" in said
    assert "TESSERA_AGENTS_MAX" in said
    assert "swordfish" not in said
