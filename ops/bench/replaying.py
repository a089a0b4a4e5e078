"""Who comes back after two minutes away: how long until they have all that they missed."""

from __future__ import annotations

from functools import partial
from math import inf, isfinite

import attrs
import trio

from common.grid import ChunkId, Tick
from common.limits import DELTAS_KEPT_TICKS, TICK_HZ
from ops.bench.crowds import Server, a_gateway
from ops.bench.meter import usage
from ops.bench.outcome import Figure, percentile
from ops.bench.returners import Return, come_back
from ops.bench.rig import Rig
from ops.bench.source import Source, a_source, speaking

P99_MS = 100.0
VIEW = [ChunkId(f"{n % 5}:{n // 5}") for n in range(25)]
AWAY_SECONDS = 119  # Of the 120 that are kept: the oldest go while one is being told.
AWAY_TICKS = AWAY_SECONDS * TICK_HZ


@attrs.frozen
class Size:
    delta_bytes: tuple[int, ...] = (300, 2_048)
    times: int = 200
    at_once: int = 50
    view_times: int = 20
    """Of a view of 25 chunks."""


async def measure(rig: Rig, size: Size) -> list[Figure]:
    figures = []
    for delta_bytes in size.delta_bytes:
        figures += await _busy(rig, size, delta_bytes)
    return [*figures, *await _view(rig, size)]


async def _busy(rig: Rig, size: Size, delta_bytes: int) -> list[Figure]:
    case = f"E. {AWAY_TICKS} deltas of {delta_bytes:,} bytes missed"
    async with (
        rig.site(f"replaying_{delta_bytes}") as site,
        a_source(site.redis, delta_bytes) as source,
        a_gateway(rig, site) as gateway,
    ):
        await source.say_past(DELTAS_KEPT_TICKS)
        async with speaking(source):
            (cold,) = await _return(gateway, source)
            before = usage(gateway.pid).cpu
            waits = [wait for _ in range(size.times) for wait in await _return(gateway, source)]
            cpu = (usage(gateway.pid).cpu - before) / size.times
            together = await _return(gateway, source, size.at_once)
    return [
        Figure(case, "one at a time, p50", percentile(waits, 50), "ms"),
        Figure(case, "one at a time, p99", percentile(waits, 99), "ms", most=P99_MS),
        Figure(case, "one at a time, the slowest", max(waits), "ms"),
        Figure(case, "CPU of the gateway, each", cpu * 1000, "ms"),
        Figure(case, "the first, of a chunk nobody watched", cold, "ms"),
        Figure(case, f"{size.at_once} at once, p50", percentile(together, 50), "ms"),
        Figure(case, f"{size.at_once} at once, the last", max(filter(isfinite, together)), "ms"),
        Figure(case, f"{size.at_once} at once, shown anew", together.count(inf)),
    ]


async def _view(rig: Rig, size: Size) -> list[Figure]:
    case = f"E. the same, of a view of {len(VIEW)}"
    async with (
        rig.site("replaying_view") as site,
        a_source(site.redis, chunks=VIEW) as source,
        a_gateway(rig, site) as gateway,
    ):
        await source.say_past(DELTAS_KEPT_TICKS)
        async with speaking(source):
            (cold,) = await _return(gateway, source)
            before = usage(gateway.pid).cpu
            times = range(size.view_times)
            waits = [wait for _ in times for wait in await _return(gateway, source)]
            cpu = (usage(gateway.pid).cpu - before) / size.view_times
    return [
        Figure(case, "one at a time, p50", percentile(waits, 50), "ms"),
        Figure(case, "one at a time, the slowest", max(waits), "ms"),
        Figure(case, "CPU of the gateway, each", cpu * 1000, "ms"),
        Figure(case, "the first, of chunks nobody watched", cold, "ms"),
    ]


async def _return(gateway: Server, source: Source, count: int = 1) -> list[float]:
    tick = source.tick
    seen = Tick(tick - AWAY_TICKS)
    what = Return(gateway.port, source.chunks, seen, tick, count)
    return await trio.to_thread.run_sync(partial(come_back, what))
