"""One delta to very many: what it costs the gateway, and what the usual way of doing it costs."""

from __future__ import annotations

import attrs
import trio

from ops.bench.crowds import FRAMES_PATH, Server, a_crowd, a_gateway, a_rival
from ops.bench.meter import usage
from ops.bench.outcome import Figure, percentile
from ops.bench.rig import Rig
from ops.bench.source import Source, a_source, speaking

CPU_US, RATIO, MEMORY_KB, P99_MS, SHARE = 15.0, 0.35, 12.0, 50.0, 0.99
P99_READERS = 600  # The target for lateness is for so many.
FIRST_EVENT_S = 2.0
COMING_AT_ONCE = 2_000  # More than that in a second would not fit in what the kernel lets wait.
LATE_SECONDS = 1.0  # What comes later than that after the last delta does not count.
USUAL = 50  # What is loaded at the first use is no reader's memory.


@attrs.frozen
class Size:
    readers: tuple[int, ...] = (600, 2_000)
    most: int = 5_000
    """Of the gateway alone."""
    frames: int = 200
    """On WebSockets, each of which has a task of its own."""
    seconds: float = 12.0
    warm_seconds: float = 2.0


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
    first_event_s: float
    """From its connecting, of the last one."""


async def measure(rig: Rig, size: Size) -> list[Figure]:
    figures: list[Figure] = []
    async with rig.site("fanning") as site, a_source(site.redis) as source:
        for count in size.readers:
            async with a_gateway(rig, site) as gateway:
                ours = await watch(gateway, source, size, count)
            async with a_rival(site) as rival:
                theirs = await watch(rival, source, size, count)
            figures += _compare(count, ours, theirs)
        async with a_gateway(rig, site) as gateway:
            figures += _alone(size.most, await watch(gateway, source, size, size.most))
        async with a_gateway(rig, site) as gateway:
            frames = attrs.evolve(gateway, path=FRAMES_PATH)
            figures += _framed(size.frames, await watch(frames, source, size, size.frames))
    return figures


def _compare(count: int, ours: Seen, theirs: Seen) -> list[Figure]:
    case = f"A. fan-out, {count:,} readers"
    return [
        *_alone(count, ours, case),
        Figure(case, "FastAPI: CPU an event", theirs.cpu_us, "µs"),
        Figure(case, "FastAPI: events a second", theirs.events_per_s),
        Figure(case, "FastAPI: from publication to reader, p99", theirs.p99_ms, "ms"),
        Figure(case, "FastAPI: memory a reader (RSS)", theirs.memory_kb, "KB"),
        Figure(case, "FastAPI: the last first event after", theirs.first_event_s, "s"),
        Figure(case, "CPU an event, of FastAPI's", ours.cpu_us / theirs.cpu_us, most=RATIO),
        Figure(case, "events a second, of FastAPI's", ours.events_per_s / theirs.events_per_s),
        Figure(case, "p99, of FastAPI's", ours.p99_ms / theirs.p99_ms),
        Figure(case, "memory a reader, of FastAPI's", ours.memory_kb / theirs.memory_kb),
    ]


def _alone(count: int, seen: Seen, case: str = "") -> list[Figure]:
    case = case or f"B. fan-out, {count:,} readers"
    p99 = P99_MS if count <= P99_READERS else None
    first = FIRST_EVENT_S if count <= COMING_AT_ONCE else None
    return [
        Figure(case, "CPU an event", seen.cpu_us, "µs", most=CPU_US),
        Figure(case, "events a second", seen.events_per_s),
        Figure(case, "of those that were due", seen.share, least=SHARE),
        Figure(case, "from publication to reader, p50", seen.p50_ms, "ms"),
        Figure(case, "from publication to reader, p99", seen.p99_ms, "ms", most=p99),
        Figure(case, "memory a reader (RSS)", seen.memory_kb, "KB", most=MEMORY_KB),
        Figure(case, "all came at once: last first event", seen.first_event_s, "s", most=first),
    ]


def _framed(count: int, seen: Seen) -> list[Figure]:
    """No target: this way is for clients that have no event streams."""
    case = f"F. fan-out, {count:,} on WebSockets"
    return [
        Figure(case, "CPU an event", seen.cpu_us, "µs"),
        Figure(case, "of those that were due", seen.share, least=SHARE),
        Figure(case, "from publication to reader, p50", seen.p50_ms, "ms"),
        Figure(case, "from publication to reader, p99", seen.p99_ms, "ms"),
        Figure(case, "memory a reader (RSS)", seen.memory_kb, "KB"),
    ]


async def watch(server: Server, source: Source, size: Size, count: int) -> Seen:
    """Let ``count`` come at once, and look at what they get for ``size.seconds``."""
    async with speaking(source):
        with a_crowd(server, USUAL, 0.5) as crowd:
            await crowd.wait_whole(statics=False)
            await trio.sleep(size.warm_seconds)
    empty = usage(server.pid).rss
    coming = count / COMING_AT_ONCE if count > COMING_AT_ONCE else 0.0
    with a_crowd(server, count, coming) as crowd:
        async with speaking(source):
            whole = await crowd.wait_whole(statics=False)
            await trio.sleep(size.warm_seconds)
        await trio.sleep(LATE_SECONDS)
        await crowd.report()
        then, tick, began = usage(server.pid), source.tick, trio.current_time()
        async with speaking(source):
            await trio.sleep(size.seconds)
        seconds, ticks = trio.current_time() - began, source.tick - tick
        await trio.sleep(LATE_SECONDS)
        report, now = await crowd.report(), usage(server.pid)
    events = max(report.events, 1)
    return Seen(
        (now.cpu - then.cpu) / events * 1e6,
        events / seconds,
        events / (count * ticks),
        percentile(report.waits_ms, 50),
        percentile(report.waits_ms, 99),
        (now.rss - empty) / count / 1024,
        whole.first_event_s,
    )
