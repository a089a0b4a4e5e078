"""A whole Tessera in real processes, started by ``tessera up`` on ports of its own."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx

START_SECONDS_MAX = 60.0
LOG_LINES = 60  # Of what the processes said, shown when a test fails.
STOP_SECONDS_MAX = 5.0  # What ``tessera up`` promises.
GENEROUS = {
    "TESSERA_SIGNUPS_PER_MIN": "0",
    "TESSERA_SESSIONS_PER_MIN": "0",
    "TESSERA_KEYS_PER_HOUR": "0",
    "TESSERA_CHAT_PER_MIN": "0",
}


@attrs.frozen
class Cluster:
    """A running ``tessera up`` and where to reach it."""

    data: Path
    port: int
    process: subprocess.Popen[bytes]

    def url(self, gateway: int = 0) -> str:
        return f"http://127.0.0.1:{self.port + gateway}"

    def told(self, role: str, n: int) -> dict[str, Any]:
        """What the process wrote about itself into DATA/run."""
        told: dict[str, Any] = json.loads((self.data / "run" / f"{role}-{n}.json").read_text())
        return told

    def metrics(self, role: str, n: int) -> str:
        """What the process shows Prometheus."""
        port = self.told(role, n)["metrics_port"]
        return httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text

    def log(self) -> str:
        """All that all processes said so far."""
        return log_of(self.data).read_text()

    def kill(self, role: str, n: int, how: signal.Signals = signal.SIGKILL) -> None:
        os.kill(int(self.told(role, n)["pid"]), how)

    def wait_until_ready(self, gateways: int = 1) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"tessera up ended with {self.process.returncode}"
            if all(_is_ready(self.url(n)) for n in range(gateways)):
                return
            time.sleep(0.1)
        raise AssertionError(f"not ready after {START_SECONDS_MAX} s")


@contextmanager
def tessera_up(
    data: Path,
    *,
    gateways: int = 1,
    shards: int = 2,
    bots: int = 0,
    environment: Mapping[str, str] = GENEROUS,
) -> Iterator[Cluster]:
    port = free_ports(gateways)
    path = log_of(data)
    with open(path, "ab") as log:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "ops", "up",
                "--port", str(port), "--gateways", str(gateways), "--shards", str(shards),
                "--bots", str(bots), "--data", str(data), "--log-format", "json",
            ],
            stdout=log,
            stderr=log,
            env={**os.environ, **environment},
        )  # fmt: skip
        cluster = Cluster(data, port, process)
        try:
            cluster.wait_until_ready(gateways)
            yield cluster
        except BaseException:
            sys.stderr.writelines(path.read_text().splitlines(keepends=True)[-LOG_LINES:])
            raise
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_SECONDS_MAX + 3)


def log_of(data: Path) -> Path:
    return data.parent / f"{data.name}.log"


def free_ports(count: int) -> int:
    """The first of ``count`` neighbouring ports that nobody listens on."""
    while True:
        first = random.randrange(20_000, 32_000)
        if all(_is_free(first + offset) for offset in range(count)):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False
