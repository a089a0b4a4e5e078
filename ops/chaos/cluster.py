"""A ``tessera up`` of our own: where it listens, which process is which, and what it writes.

It is tied to our life like the supervisor's children to its. It decides nothing.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import attrs
import httpx
import trio

from common.errors import Unavailable
from common.limits import START_SECONDS_MAX, STOP_SECONDS_MAX
from ops.up import run_folder
from ops.up.child import Born, Spec, give_birth, lines
from ops.up.run_folder import Running
from shard.loader import SPOILT

HOST = "127.0.0.1"
_SERVERS = ("DATABASE_URL", "DATABASE_URL_FILE", "REDIS_URL", "REDIS_URL_FILE")  # Its own.
SETTINGS = (
    "TESSERA_SIGNUPS_PER_MIN", "TESSERA_SESSIONS_PER_MIN", "TESSERA_KEYS_PER_HOUR",
    "TESSERA_COMMANDS_PER_S", "TESSERA_CHAT_PER_MIN", "TESSERA_SPECTATORS_PER_ADDRESS",
)  # fmt: skip
END_SECONDS_MAX = 2 * STOP_SECONDS_MAX  # Then it is killed: it has promised half of that.
ASK_SECONDS = 0.1
SHARDS_SEEN = 12  # More than anybody asks for here.


@attrs.frozen
class Size:
    gateways: int = 2
    shards: int = 2
    spares: int = 1


@attrs.define
class Cluster:
    size: Size
    folder: Path
    port: int
    fallen: list[str] = attrs.field(factory=list)
    """Gateways and shards that fell over a bug, chunks that did, and how that was seen."""
    _told: list[str] = attrs.field(factory=list)
    """Who was told to end, and has not ended yet with 0; who is killed before may do so later."""

    def tell_to_end(self, process: Running) -> None:
        """Have a gateway stop, or a shard drain. ProcessLookupError: it is gone already."""
        os.kill(process.pid, signal.SIGTERM)
        self._told.append(f"{process.role}-{process.n}")

    def hear(self, line: bytes) -> None:
        """Take note of what the log says; who ends well is to have been told."""
        found = fallen(line)
        if found is None:
            return
        name = found.removesuffix(_WELL)
        if name in self._told:
            self._told.remove(name)
        else:
            self.fallen.append(found)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "up.log"

    @property
    def urls(self) -> Sequence[str]:
        return [f"http://{HOST}:{self.port + n}" for n in range(self.size.gateways)]

    @property
    def database_url(self) -> str:
        password = (self.data / "postgres" / "password").read_text()
        return f"postgresql://postgres:{password}@{HOST}:{self._port('postgres')}/postgres"

    @property
    def redis_url(self) -> str:
        password = (self.data / "redis" / "password").read_text()
        return f"redis://:{password}@{HOST}:{self._port('redis')}/0"

    def running(self, role: str, n: int = 0) -> Running | None:
        return run_folder.read(self.data / "run", role, n)

    def shards(self) -> Sequence[Running]:
        """Those that run; how many that are may have changed."""
        return self._running("shard", SHARDS_SEEN)

    def gateways(self) -> Sequence[Running]:
        return self._running("gateway", self.size.gateways)

    def _running(self, role: str, numbers: int) -> Sequence[Running]:
        return [one for n in range(numbers) if (one := self.running(role, n)) is not None]

    def _port(self, role: str) -> int:
        running = self.running(role)
        assert running is not None, f"{role} does not run"
        assert running.port is not None
        return running.port


@asynccontextmanager
async def a_cluster(folder: Path, size: Size) -> AsyncIterator[Cluster]:
    """Start one in ``folder`` and wait until it is ready; it ends with the block."""
    cluster = Cluster(size, folder, free_ports(size.gateways))
    born = give_birth(_spec(cluster))
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_keep_log, born, cluster)
            try:
                await _wait_ready(cluster, born)
                yield cluster
            finally:
                with trio.CancelScope(shield=True):
                    await _end(born)
                nursery.cancel_scope.cancel()
    finally:
        born.kill()


def _spec(cluster: Cluster) -> Spec:
    size = cluster.size
    words = {
        "--host": HOST,
        "--port": cluster.port,
        "--data": cluster.data,
        "--gateways": size.gateways,
        "--shards": size.shards,
        "--spares": size.spares,
        "--bots": 0,
        "--log-format": "json",
    }
    options = (str(word) for option in words.items() for word in option)
    generous = dict.fromkeys(SETTINGS, "0")
    return Spec(
        role="up",
        n=0,
        argv=(sys.executable, "-P", "-m", "ops", "up", *options),
        environment={**generous, **dict.fromkeys(_SERVERS, "")},
        death_signal=signal.SIGTERM,
    )


async def _wait_ready(cluster: Cluster, born: Born) -> None:
    async with httpx.AsyncClient(timeout=2, trust_env=False) as http:
        with trio.move_on_after(START_SECONDS_MAX):
            while born.process.poll() is None:
                if await is_ready(cluster, http):
                    return
                await trio.sleep(ASK_SECONDS)
    raise Unavailable(f"tessera up did not start; see what it wrote in {cluster.log}")


async def is_ready(cluster: Cluster, http: httpx.AsyncClient) -> bool:
    """Whether all of its processes are there, and serve."""
    if len(cluster.shards()) < cluster.size.shards + cluster.size.spares:
        return False
    try:
        answers = [await http.get(f"{url}/readyz") for url in cluster.urls]
    except httpx.TransportError:
        return False
    return all(answer.is_success for answer in answers)


async def _end(born: Born) -> None:
    born.signal(signal.SIGTERM)
    with trio.move_on_after(END_SECONDS_MAX):
        await born.wait_ended()


async def _keep_log(born: Born, cluster: Cluster) -> None:
    async with await trio.open_file(cluster.log, "ab", buffering=0) as log:
        async for line in lines(born.output):
            await log.write(line + b"\n")
            cluster.hear(line)


def fallen(line: bytes) -> str | None:
    """Which of ours fell over a bug, or put up with one; or ended well, and perhaps was told to.

    Who ends with 1 and says why was started without a server. What a process of ours says itself
    has no ``child``: only what is no JSON is wrapped by the supervisor.
    """
    with suppress(ValueError):
        said = json.loads(line)
        if not isinstance(said, dict):
            return None
        event, child, name = (str(said.get(field)) for field in ("event", "child", "name"))
        if "Traceback (most recent call last)" in event and child.startswith(_OURS):
            return f"{child} wrote a traceback at {said.get('timestamp')}"
        if event == SPOILT:
            return f"{said.get('chunk')} cannot be recovered: {said.get('error')}"
        code = said.get("code")
        if event.startswith("it ended") and name.startswith(_OURS) and code not in _HARMLESS:
            return f"{name} ended with {code}"
    return None


_OURS = ("gateway", "shard")
_HARMLESS = (1, -signal.SIGKILL)
_WELL = " ended with 0"


def free_ports(count: int) -> int:
    """The first of ``count`` neighbouring ports that nobody listens on."""
    while True:
        first = 20_000 + int.from_bytes(os.urandom(2)) % 12_000  # Below the ephemeral ones.
        if all(_is_free(first + offset) for offset in range(count)):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
