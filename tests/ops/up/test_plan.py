from __future__ import annotations

import os
import socket
from pathlib import Path

import attrs
import pytest

from common.errors import Misconfigured
from common.settings import read_settings
from ops.command import read_file
from ops.up.plan import Plan, check_ports

PLAN = Plan("127.0.0.1", 8080, 2, 3, 8, Path("/data"), "text")
DATABASE, REDIS = "postgresql://me:swordfish@db/x", "redis://:swordfish@r/0"


def test_gateways_listen_on_neighbouring_ports() -> None:
    specs = PLAN.gateway_specs(DATABASE, REDIS)

    assert [spec.argv[spec.argv.index("--port") + 1] for spec in specs] == ["8080", "8081"]


def test_each_shard_has_its_number() -> None:
    assert [spec.name for spec in PLAN.shard_specs(DATABASE, REDIS)] == [
        "shard-0",
        "shard-1",
        "shard-2",
    ]


def test_passwords_are_in_no_command_line_and_in_no_log() -> None:
    for spec in (*PLAN.gateway_specs(DATABASE, REDIS), *PLAN.shard_specs(DATABASE, REDIS)):
        assert not any("swordfish" in word for word in spec.argv)
        assert "swordfish" not in repr(spec)
        assert spec.environment["DATABASE_URL"] == DATABASE
        assert spec.environment["REDIS_URL"] == REDIS


def test_what_we_read_from_files_children_do_not_read_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Both a setting and its file would be wrong."""
    (tmp_path / "url").write_text("redis://another")
    monkeypatch.setenv("REDIS_URL_FILE", str(tmp_path / "url"))

    for spec in (*PLAN.gateway_specs(DATABASE, REDIS), *PLAN.shard_specs(DATABASE, REDIS)):
        settings = read_settings({**os.environ, **spec.environment}, read_file=read_file)
        assert settings.redis_url == REDIS


def test_bots_are_not_told_where_the_servers_are() -> None:
    (spec,) = PLAN.bots_specs()

    assert not any(name.endswith("_URL") for name in spec.environment)


def test_no_bots_is_no_process() -> None:
    assert attrs.evolve(PLAN, bots=0).bots_specs() == []


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),  # noqa: S104 - nobody binds it here.
        ("::", "http://[::1]:8080"),
    ],
)
def test_the_address_is_one_that_a_browser_here_can_open(host: str, url: str) -> None:
    assert attrs.evolve(PLAN, host=host).url == url


def test_every_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(Misconfigured, match=f"port {port} is in use.*--port"):
            check_ports(attrs.evolve(PLAN, port=port - 1))


def test_a_foreign_address_is_refused() -> None:
    with pytest.raises(Misconfigured, match="--host"):
        check_ports(attrs.evolve(PLAN, host="192.0.2.1"))


def test_ports_end_somewhere() -> None:
    with pytest.raises(Misconfigured, match="65536"):
        check_ports(attrs.evolve(PLAN, port=65_535))


def test_spares_are_shards_beyond_the_number_of_slots() -> None:
    specs = attrs.evolve(PLAN, spares=1).shard_specs(DATABASE, REDIS)

    assert [spec.name for spec in specs] == ["shard-0", "shard-1", "shard-2", "shard-3"]
