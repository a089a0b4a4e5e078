"""The processes of a fan-out under measure: the gateway or its rival, and crowds of readers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import attrs
import trio

from ops.bench.readers import Report
from ops.bench.rig import Rig, Site
from ops.bench.rival import URL_VARIABLE
from ops.bench.source import CHUNK
from ops.chaos.cluster import free_ports

PATH = f"/v1/spectate?chunks={CHUNK}"
FRAMES_PATH = f"/v1/spectate/ws?chunks={CHUNK}"
SETTLE_SECONDS_MAX = 30.0
LOOK_SECONDS = 0.1


@attrs.frozen
class Server:
    """One that is measured: who it is, and where its stream is."""

    name: str
    pid: int
    port: int
    path: str


@attrs.frozen
class Crowd:
    """Readers in a process of their own."""

    _process: subprocess.Popen[str]
    count: int

    async def report(self) -> Report:
        return await trio.to_thread.run_sync(self._ask)

    def _ask(self) -> Report:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Report(**json.loads(self._process.stdout.readline()))

    async def wait_whole(self, *, statics: bool) -> Report:
        """Until each has had its first event, and its first static or delta."""
        report = Report()
        with trio.move_on_after(SETTLE_SECONDS_MAX):
            while True:
                report = await self.report()
                if (report.first_statics if statics else report.first_events) == self.count:
                    break
                await trio.sleep(LOOK_SECONDS)
        return report


@contextmanager
def a_crowd(
    server: Server, count: int, seconds: float = 0.0, *, still: bool = False
) -> Iterator[Crowd]:
    """``count`` readers, which come within so many seconds and go at the end of the block."""
    argv = [sys.executable, "-P", "-m", "ops.bench.readers", str(server.port), server.path]
    argv += [str(count), str(seconds), *(["--still"] if still else [])]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as process:  # noqa: S603 - our words.
        try:
            yield Crowd(process, count)
        finally:
            process.kill()


@asynccontextmanager
async def a_rival(site: Site) -> AsyncIterator[Server]:
    port = free_ports(1)
    argv = [sys.executable, "-P", "-m", "ops.bench.rival", str(port)]
    environment = {**os.environ, URL_VARIABLE: site.redis_url}
    # Our own words, and no shell; starting it takes a moment, in which nothing is measured.
    with subprocess.Popen(argv, env=environment) as process:  # noqa: S603, ASYNC220
        try:
            await _wait_listening(port)
            yield Server("FastAPI", process.pid, port, "/stream")
        finally:
            process.kill()


async def _wait_listening(port: int) -> None:
    with trio.fail_after(SETTLE_SECONDS_MAX):
        while True:
            try:
                stream = await trio.open_tcp_stream("127.0.0.1", port)
            except OSError:
                await trio.sleep(LOOK_SECONDS)
            else:
                await stream.aclose()
                return


@asynccontextmanager
async def a_gateway(rig: Rig, site: Site, n: int = 0) -> AsyncIterator[Server]:
    async with rig.gateway(site, n) as process:
        yield Server("gateway", process.pid, site.plan.port + n, PATH)
