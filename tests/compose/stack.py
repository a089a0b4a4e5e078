"""The whole stack of ``compose/`` on a Docker engine, as an operator would drive it.

It has a project name, a port, a network and secrets of its own, so that it disturbs nobody; and
images that ``base-images.sh`` made, or those that compose.yaml names (IMAGES=public). What it
started is gone at its end, volumes too.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose"
APP_IMAGE = "tessera:test"
UP_SECONDS_MAX = 300.0  # Of a whole stack from nothing, on a machine that does other things too.
READY_SECONDS_MAX = 180.0
SPECTATORS_PER_ADDRESS = 10
SHARDS = 2
OURS = ("gateway-a", "gateway-b", "shard")
LASTING = ("lb", "gateway-a", "gateway-b", "postgres", "valkey")
LOG_LINES = "15"  # Of each container, when something does not happen.


def why_not() -> str | None:
    """Why no stack can be had here."""
    if shutil.which("docker") is None:
        return "there is no docker here"
    asked = subprocess.run(["docker", "info"], capture_output=True, check=False)
    if asked.returncode != 0:
        return "no Docker engine runs here"
    return None if _compose() else "there is no docker compose here"


def _compose() -> list[str] | None:
    """COMPOSE names another one, as in  make test-compose COMPOSE=docker-compose ."""
    if words := os.environ.get("COMPOSE", "").split():
        return words
    for words in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(words[0]):
            said = subprocess.run([*words, "version"], capture_output=True, check=False)
            if said.returncode == 0:
                return words
    return None


def images() -> dict[str, str]:
    """Make what is missing; return the environment that names them."""
    names: dict[str, str] = {}
    if os.environ.get("IMAGES", "debian") == "debian":
        _run([str(COMPOSE / "base-images.sh")])
        lines = (COMPOSE / "debian.env").read_text().splitlines()
        names = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    _run(["make", "image"], {**names, "APP_IMAGE": APP_IMAGE})
    return {**names, "APP_IMAGE": APP_IMAGE}


@contextmanager
def a_stack(folder: Path, names: dict[str, str]) -> Iterator[Stack]:
    _run([str(COMPOSE / "secrets.sh")], {"SECRETS": str(folder / "secrets")})
    compose = _compose()
    assert compose is not None
    stack = Stack(compose, _free_port(), folder / "secrets", names)
    try:
        stack.up()
        stack.wait_ready()
        yield stack
    finally:
        stack.compose(
            "--profile", "monitoring", "down", "--volumes", "--timeout", "5", shards=SHARDS
        )


@attrs.frozen
class Container:
    id: str
    service: str
    started_at: str
    running: bool
    exit_code: int
    about: Mapping[str, Any] = attrs.field(repr=False)


@attrs.define
class Stack:
    _compose: list[str]
    port: int
    secrets: Path
    names: dict[str, str]
    """Of the images."""
    shards: int = SHARDS

    @property
    def prometheus_url(self) -> str:
        return f"http://127.0.0.1:{self.port + 1}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def up(self, shards: int | None = None, *words: str) -> str:
        """``SHARD_COUNT=shards docker compose up -d``."""
        self.shards = shards or self.shards
        return self.compose(*words, "up", "-d", shards=self.shards)

    def compose(self, *words: str, shards: int | None = None) -> str:
        file = str(COMPOSE / "compose.yaml")
        return _run([*self._compose, "--file", file, *words], self._environment(shards))

    def script(self, name: str, *words: str) -> str:
        """One of those that an operator has."""
        environment = {**self._environment(), "COMPOSE": " ".join(self._compose)}
        return _run([str(COMPOSE / name), *words], environment)

    def _environment(self, shards: int | None = None) -> dict[str, str]:
        return {
            **self.names,
            "COMPOSE_PROJECT_NAME": f"tessera-test-{self.port}",
            "PUBLIC_ADDRESS": "127.0.0.1",
            "PUBLIC_PORT": str(self.port),
            "PROMETHEUS_PORT": str(self.port + 1),
            "FRONT_SUBNET": "172.31.252.0/28",
            "TESSERA_TRUSTED_PROXIES": "172.31.252.0/28",
            "SECRETS": str(self.secrets),
            "SHARD_COUNT": str(shards or self.shards),
            "LB_OPEN_FILES": "16384",  # What an engine without the right to raise limits has.
            # All agents come from one address.
            "TESSERA_SIGNUPS_PER_MIN": "0",
            "TESSERA_SESSIONS_PER_MIN": "0",
            "TESSERA_CHAT_PER_MIN": "0",
            "TESSERA_SPECTATORS_PER_ADDRESS": str(SPECTATORS_PER_ADDRESS),
        }

    def containers(self, *services: str) -> list[Container]:
        """Of this project, one-shots that have ended too; ``services``: only of these."""
        label = f"label=com.docker.compose.project=tessera-test-{self.port}"
        ids = _run(["docker", "ps", "--all", "--quiet", "--filter", label]).split()
        found = json.loads(_run(["docker", "inspect", *ids])) if ids else []
        containers = [
            Container(
                about["Id"],
                about["Config"]["Labels"]["com.docker.compose.service"],
                about["State"]["StartedAt"],
                about["State"]["Running"],
                about["State"]["ExitCode"],
                about,
            )
            for about in found
        ]
        return [each for each in containers if not services or each.service in services]

    def kill_in(self, container: Container) -> None:
        """Kill the program of ``container``, as a crash would; the engine starts it again.

        Not ``docker kill``: that is an operator's wish, after which nothing is started.
        """
        script = "kill -9 -1"  # All but the init, and the shell that says so.
        _run(["docker", "exec", container.id, "sh", "-c", script])

    def wait_ready(self) -> None:
        """Until somebody at the load balancer says that all is well, and each container does."""
        self.wait_until(self._is_ready, READY_SECONDS_MAX)

    def wait_until(self, is_so: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > deadline:
                said = self.compose("logs", "--tail", LOG_LINES)
                raise TimeoutError(f"not so after {seconds:g} s: {is_so}\n{said}")
            time.sleep(0.2)

    def get(self, path: str) -> httpx.Response | None:
        try:
            return httpx.get(self.url + path, timeout=5, trust_env=False)
        except httpx.TransportError:
            return None

    def _is_ready(self) -> bool:
        answer = self.get("/readyz")
        return (
            answer is not None
            and answer.status_code == 200
            and all(map(_is_well, self.containers()))
        )


def tag(image: str, as_image: str) -> None:
    _run(["docker", "tag", image, as_image])


def _is_well(container: Container) -> bool:
    if container.service in ("migrate", "topology"):
        return not container.running and container.exit_code == 0
    health = container.about["State"].get("Health", {}).get("Status", "healthy")
    return container.running and health == "healthy"


def _run(words: list[str], environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        words,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=UP_SECONDS_MAX * 3,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
