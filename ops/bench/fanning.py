"""One delta to very many: what it costs the gateway, and what the usual way of doing it costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import attrs
import trio

from ops.bench.meter import usage
from ops.bench.outcome import percentile
from ops.bench.readers import Report
from ops.bench.rig import Rig, Site
from ops.bench.rival import URL_VARIABLE
from ops.bench.source import CHUNK, Source
from ops.chaos.cluster import free_ports

PATH = f"/v1/spectate?chunks={CHUNK}"
CPU_US, RATIO, MEMORY_KB, P99_MS = 15.0, 0.35, 12.0, 50.0
FIRST_EVENT_S, CROWD_S = 2.0, 3.0
SETTLE_SECONDS_MAX = 30.0
LOOK_SECONDS = 0.1
COMING_AT_ONCE = 2_000  # More than that in a second would not fit in what the kernel lets wait.


@attrs.frozen
class Size:
    readers: tuple[int, ...] = (600, 2_000)
    most: int = 5_000
    """Of the gateway alone."""
    stopped: int = 100
    crowd: int = 1_000
    """That comes within a second."""
    seconds: float = 12.0
    warm_seconds: float = 2.0


@attrs.frozen
class Server:
    """One that is measured: who it is, and where its stream is."""

    name: str
    pid: int
    port: int
    path: str


@attrs.frozen
class Seen:
    """What one window of time showed."""

    cpu_us: float
    """Of the server, for each event that a reader got."""
    events_per_s: float
    share: float
    """Of the events that all should have got."""
    p50_ms: float
    p99_ms: float
    memory_kb: float
    """For each reader."""
    report: Report


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
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as process:  # noqa: S603
        try:
            yield Crowd(process, count)
        finally:
            process.kill()


@asynccontextmanager
async def a_rival(site: Site) -> AsyncIterator[Server]:
    port = free_ports(1)
    argv = [sys.executable, "-P", "-m", "ops.bench.rival", str(port)]
    environment = {**os.environ, URL_VARIABLE: site.redis_url}
    with subprocess.Popen(argv, env=environment) as process:  # noqa: S603, ASYNC220 - a moment.
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
async def a_gateway(rig: Rig, site: Site) -> AsyncIterator[Server]:
    async with rig.gateway(site) as process:
        yield Server("gateway", process.pid, site.plan.port, PATH)


async def watch(server: Server, source: Source, size: Size, count: int) -> Seen:
    """Let ``count`` come at once, and look at what they get for ``size.seconds``."""
    with a_crowd(server, 50, 0.5) as crowd:  # What is loaded at the first use is no reader's.
        await crowd.wait_whole(statics=False)
    await trio.sleep(size.warm_seconds)
    empty = usage(server.pid).rss
    with a_crowd(server, count, count / COMING_AT_ONCE if count > COMING_AT_ONCE else 0.0) as crowd:
        whole = await crowd.wait_whole(statics=False)
        await trio.sleep(size.warm_seconds)
        await crowd.report()
        then, tick, began = usage(server.pid), source.tick, trio.current_time()
        await trio.sleep(size.seconds)
        report, now = await crowd.report(), usage(server.pid)
        seconds, ticks = trio.current_time() - began, source.tick - tick
    events = max(report.events, 1)
    report = attrs.evolve(report, first_event_s=whole.first_event_s)
    return Seen(
        (now.cpu - then.cpu) / events * 1e6,
        events / seconds,
        events / (count * ticks),
        percentile(report.waits_ms, 50),
        percentile(report.waits_ms, 99),
        (now.rss - empty) / count / 1024,
        report,
    )
