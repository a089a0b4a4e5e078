"""Readers that stand still: what they cost those that do not, and in memory."""

from __future__ import annotations

import attrs
import trio

from ops.bench.crowds import Crowd, Server, a_crowd, a_gateway
from ops.bench.meter import usage
from ops.bench.outcome import Figure, percentile
from ops.bench.rig import Rig
from ops.bench.source import a_source, speaking

P99_RATIO = 1.1
GROWTH_MB = 8.0  # The queue that they all have in common: 256 deltas of DELTA_BYTES, and some air.
DELTA_BYTES = 8 * 1024  # Large, so that what the kernel keeps for each is full in seconds.


@attrs.frozen
class Size:
    readers: int = 600
    stopped: int = 100
    fill_seconds: float = 10.0
    """Until the sockets of those that stand still are full."""
    seconds: float = 10.0
    rounds: int = 3
    """With and without them in turn: one window of time says little about a p99."""


async def measure(rig: Rig, size: Size) -> list[Figure]:
    without: list[float] = []
    beside: list[float] = []
    growths: list[float] = []
    async with (
        rig.site("stopping") as site,
        a_source(site.redis, DELTA_BYTES) as source,
        a_gateway(rig, site) as gateway,
        speaking(source),
    ):
        with a_crowd(gateway, size.readers) as crowd:
            await crowd.wait_whole(statics=True)
            for _ in range(size.rounds):
                without += await _waits(crowd, size.seconds)
                with a_crowd(gateway, size.stopped, still=True) as still:
                    await still.wait_whole(statics=False)
                    await trio.sleep(size.fill_seconds)
                    growth, waits = await _beside(gateway, crowd, size.seconds)
                beside += waits
                growths.append(growth)
    case = f"D. {size.stopped} of {size.readers + size.stopped} stand still"
    early, late = percentile(without, 99), percentile(beside, 99)
    return [
        Figure(case, "p99 of the others, without them", early, "ms"),
        Figure(case, "p99 of the others, beside them", late, "ms"),
        Figure(case, "of what it was without", late / early, most=P99_RATIO),
        Figure(case, "p50 of the others, without them", percentile(without, 50), "ms"),
        Figure(case, "p50 of the others, beside them", percentile(beside, 50), "ms"),
        Figure(case, "memory that they make it grow", max(growths), "MB", most=GROWTH_MB),
    ]


async def _beside(gateway: Server, crowd: Crowd, seconds: float) -> tuple[float, list[float]]:
    before = usage(gateway.pid).rss
    waits = await _waits(crowd, seconds)
    return (usage(gateway.pid).rss - before) / 2**20, waits


async def _waits(crowd: Crowd, seconds: float) -> list[float]:
    await crowd.report()
    await trio.sleep(seconds)
    return (await crowd.report()).waits_ms
