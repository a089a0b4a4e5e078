"""What ``tessera up`` is asked for, and the children that follow from it.

It starts nothing. Passwords travel in the environment, never in a command line, which
everybody on the machine can read.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import attrs

from common.adapters.logs import wants_colour
from common.errors import Misconfigured
from common.settings import FILE
from ops.embedded.launch import Launch
from ops.up.child import Spec

# What servers say when all is well; warnings and worse remain.
_ROUTINE = {
    "postgres": (
        b" LOG:  ",
        b"FATAL:  the database system is ",  # Starting, recovering: we ask until it can.
        b"DETAIL:  Consistent recovery state has not been yet reached",
    ),
    "redis": (
        b" * ",
        b"WARNING Memory overcommit must be enabled",  # How to set up a machine for it alone.
        b"Received SIGTERM scheduling shutdown",
        b"Valkey is now ready to exit",
    ),
}


@attrs.frozen
class Plan:
    host: str
    port: int
    gateways: int
    shards: int
    bots: int
    data: Path
    log_format: Literal["json", "text"]
    spares: int = 0
    """Shard processes beyond the number of slots: each takes over when another dies."""

    @property
    def ports(self) -> Sequence[int]:
        return range(self.port, self.port + self.gateways)

    @property
    def url(self) -> str:
        """Where the viewer is, for somebody on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def server(self, launch: Launch) -> Spec:
        """An embedded server: it ends by itself and in order, also when we are killed."""
        return Spec(
            role=launch.role,
            n=0,
            argv=launch.argv,
            user=launch.user,
            stop_signal=launch.stop_signal,
            # Waiting for clients would be waiting for the dead: PostgreSQL drops everything and
            # repairs itself from its log at the next start, Valkey writes out what it has.
            death_signal=signal.SIGQUIT if launch.role == "postgres" else signal.SIGTERM,
            port=launch.port,
            routine=_ROUTINE[launch.role],
        )

    def shard_specs(self, database_url: str, redis_url: str) -> list[Spec]:
        """Return those to begin with; more and fewer of them come with the topology."""
        numbers = range(self.shards + self.spares)
        return [self.shard_spec(database_url, redis_url, n) for n in numbers]

    def shard_spec(self, database_url: str, redis_url: str, n: int) -> Spec:
        spec = self._ours("shard", n, (), _urls(database_url, redis_url))
        # When all end there is nobody to hand anything over to, which SIGTERM would ask for.
        return attrs.evolve(spec, stop_signal=signal.SIGINT)

    def gateway_specs(self, database_url: str, redis_url: str) -> list[Spec]:
        return [
            self._ours(
                "gateway",
                n,
                ("--host", self.host, "--port", str(port)),
                _urls(database_url, redis_url),
            )
            for n, port in enumerate(self.ports)
        ]

    def bots_specs(self) -> list[Spec]:
        if self.bots == 0:
            return []
        keys = self.data / "bots" / "keys.json"
        words = ("--url", self.url, "--count", str(self.bots), "--keys", str(keys))
        return [_tessera("bots", 0, words, self._environment({}))]

    def _ours(self, role: str, n: int, words: Sequence[str], urls: Mapping[str, str]) -> Spec:
        place = ("--number", str(n), "--run-folder", str(self.data / "run"))
        spec = _tessera(role, n, (*place, *words), self._environment(urls))
        return attrs.evolve(spec, ours=True)

    def _environment(self, urls: Mapping[str, str]) -> dict[str, str]:
        environment = {
            **urls,
            "TESSERA_LOG_FORMAT": self.log_format,
            "PYTHONUNBUFFERED": "1",  # Their output is a pipe; a line should not wait in it.
        }
        if wants_colour(sys.stdout, os.environ):
            environment["FORCE_COLOR"] = "1"  # They can't see that our end is a terminal.
        return environment


def check_ports(plan: Plan) -> None:
    """Misconfigured, naming every port that can't be listened on."""
    wrong = [trouble for port in plan.ports if (trouble := trouble_with_port(plan.host, port))]
    if wrong:
        raise Misconfigured(f"{', '.join(wrong)}; choose another with --port")


def trouble_with_port(host: str, port: int) -> str | None:
    """Why nobody can listen there; None when somebody can."""
    if port > 65_535:
        return f"port {port} does not exist"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As the gateway does itself: connections of the one before may linger in TIME_WAIT.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"port {port} is in use"
            if error.errno in (errno.EADDRNOTAVAIL, None) or isinstance(error, socket.gaierror):
                raise Misconfigured(
                    f"{host} is no address of this machine; correct --host"
                ) from None
            return f"port {port} cannot be used ({error.strerror})"
    return None


def _tessera(role: str, n: int, options: Sequence[str], environment: Mapping[str, str]) -> Spec:
    words = (role, *options)
    # -P: what happens to lie in the working directory is not the program.
    return Spec(role, n, (sys.executable, "-P", "-m", "ops", *words), environment, words=words)


def _urls(database_url: str, redis_url: str) -> dict[str, str]:
    urls = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    # What was in files has been read; they inherit the rest of our environment.
    return {**urls, **{name + FILE: "" for name in urls}}
