"""A crowd that comes within a second: when all have seen the chunk, and whether ticks stay on time.

The first is measured with a chunk that says something every tick; the second with a real shard
full of walkers beside the gateway, by the shard's own histogram, before and while they come.
"""

from __future__ import annotations

from collections import Counter

import attrs
import trio

from common.limits import TICK_HZ
from ops.bench.crowds import Server, a_crowd, a_gateway
from ops.bench.meter import Buckets, between, quantile, usage
from ops.bench.outcome import Figure
from ops.bench.populate import populate
from ops.bench.rig import SEED, Process, Rig
from ops.bench.settlers import square, walkers
from ops.bench.source import a_source, speaking
from ops.bench.walking import LATE_MS, LATENESS_SECONDS, a_loaded_shard

STATIC_S = 3.0
WALKERS = 21  # A chunk; as in ``walking``.
LOST_SECONDS = 2.0  # From one crowd's going until the next window: the gateway takes leave of all.


@attrs.frozen
class Size:
    readers: int = 1_000
    within_seconds: float = 1.0
    chunks: int = 100
    """Of walkers, beside whom they come; 0:0 is one of them."""
    window_seconds: float = 5.0
    """Before, and from when the first comes."""
    turns: int = 4
    """Before and during, by turns."""
    warm_seconds: float = 5.0


async def measure(rig: Rig, size: Size) -> list[Figure]:
    return [*await _see(rig, size), *await _tick(rig, size)]


async def _see(rig: Rig, size: Size) -> list[Figure]:
    """Nobody has watched the chunk before, so the gateway has to ask for it first."""
    async with (
        rig.site("arriving") as site,
        a_source(site.redis) as source,
        a_gateway(rig, site) as gateway,
        speaking(source),
    ):
        before = usage(gateway.pid).cpu
        with a_crowd(gateway, size.readers, size.within_seconds) as crowd:
            report = await crowd.wait_whole(statics=True)
            cpu = usage(gateway.pid).cpu - before
    case = f"C. {size.readers:,} arrive within {size.within_seconds:g} s"
    missing = size.readers - report.first_statics
    return [
        Figure(case, "without chunk_static", missing, most=0),
        Figure(case, "the last chunk_static after", report.first_static_s, "s", most=STATIC_S),
        Figure(case, "CPU of the gateway, each", cpu / size.readers * 1e6, "µs"),
    ]


async def _tick(rig: Rig, size: Size) -> list[Figure]:
    seconds = size.warm_seconds + size.turns * (2 * size.window_seconds + LOST_SECONDS)
    steps = int((seconds + 60) * TICK_HZ)  # More than are walked, also on a slow machine.
    async with rig.site("arriving_beside") as site:
        await populate(site, walkers(SEED, square(size.chunks), WALKERS, steps, 1))
        async with a_loaded_shard(rig, site, size.chunks) as shard, a_gateway(rig, site) as gateway:
            await trio.sleep(size.warm_seconds)
            before, during, missing = Counter[float](), Counter[float](), 0
            for _ in range(size.turns):
                before.update(await _lateness(shard, size.window_seconds))
                late, lost = await _lateness_as_they_come(shard, gateway, size)
                during.update(late)
                missing += lost
                await trio.sleep(LOST_SECONDS)
    case = f"C. the same, beside {size.chunks * WALKERS:,} walkers"
    return [
        Figure(case, "without chunk_static", missing, most=0),
        Figure(case, "lateness of a tick before, p50", quantile(before, 0.5) * 1000, "ms"),
        Figure(case, "lateness of a tick before, p99", quantile(before, 0.99) * 1000, "ms"),
        Figure(case, "lateness as they come, p50", quantile(during, 0.5) * 1000, "ms"),
        Figure(case, "lateness as they come, p99", quantile(during, 0.99) * 1000, "ms", LATE_MS),
    ]


async def _lateness(shard: Process, seconds: float) -> Buckets:
    then = await shard.account()
    await trio.sleep(seconds)
    return between(then, await shard.account(), LATENESS_SECONDS)


async def _lateness_as_they_come(
    shard: Process, gateway: Server, size: Size
) -> tuple[Buckets, int]:
    """Return that, and how many saw nothing."""
    then, began = await shard.account(), trio.current_time()
    with a_crowd(gateway, size.readers, size.within_seconds) as crowd:
        report = await crowd.wait_whole(statics=True)
        await trio.sleep_until(began + size.window_seconds)
        late = between(then, await shard.account(), LATENESS_SECONDS)
    return late, size.readers - report.first_statics
