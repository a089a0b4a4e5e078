"""Readers that stand still: what they cost those that do not, and in memory.

Two gateways hear the same and have as many readers each; those that stand still are at one of
them, by turns. Both are watched in the same windows of time, so what else runs on this machine
meets both alike, and what is left between them is due to those that stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import geometric_mean, median

import attrs
import trio

from common.limits import SPECTATOR_QUEUE_MAX
from ops.bench.crowds import Crowd, Server, a_crowd, a_gateway
from ops.bench.meter import usage
from ops.bench.outcome import Figure, percentile
from ops.bench.rig import Rig
from ops.bench.source import a_source, speaking

P99_RATIO = 1.1
DELTA_BYTES = 8 * 1024  # Large, so that what the kernel keeps for each is full in seconds.
READER_BYTES = 12 * 1024  # Of each that stands, beside one write: a task, a queue of pointers.
AIR_BYTES = 2**20  # The allocator's.
LOOK_SECONDS = 1.0


@attrs.frozen
class Size:
    readers: int = 300
    """Of each of the two gateways."""
    stopped: int = 100
    fill_seconds: float = 5.0
    """Until the sockets of those that stand still are full."""
    seconds: float = 4.0
    turns: int = 5
    """In each of which they stand at the one gateway, and then at the other."""
    stand_seconds: float = 60.0
    """At last: longer than it takes until a queue of 256 is full."""

    @property
    def bytes_most(self) -> int:
        """What is queued for them, which is the same for all; and one write of each."""
        each = DELTA_BYTES + READER_BYTES
        return SPECTATOR_QUEUE_MAX * DELTA_BYTES + self.stopped * each + AIR_BYTES


@attrs.frozen
class Side:
    gateway: Server
    crowd: Crowd


@attrs.frozen
class Window:
    """What one side showed in a window of time."""

    p50_ms: float
    p99_ms: float
    cpu_seconds: float


Pair = tuple[Window, Window]
"""In the same time: where nobody stood, and where some did."""


async def measure(rig: Rig, size: Size) -> list[Figure]:
    async with (
        rig.site("stopping", gateways=2) as site,
        a_source(site.redis, DELTA_BYTES) as source,
        a_gateway(rig, site) as first,
        a_gateway(rig, site, 1) as second,
        speaking(source),
    ):
        with a_crowd(first, size.readers) as here, a_crowd(second, size.readers) as there:
            sides = Side(first, here), Side(second, there)
            for side in sides:
                await side.crowd.wait_whole(statics=True)
            pairs = [
                await _stand(free, beset, size)
                for _ in range(size.turns)
                for free, beset in (sides, sides[::-1])
            ]
            growth = await _growth(first, size)
    return _figures(size, pairs, growth)


async def _stand(free: Side, beset: Side, size: Size) -> Pair:
    with a_crowd(beset.gateway, size.stopped, still=True) as still:
        await still.wait_whole(statics=False)
        await trio.sleep(size.fill_seconds)
        windows: dict[Side, Window] = {}

        async def watch(side: Side) -> None:
            windows[side] = await _watch(side, size.seconds)

        async with trio.open_nursery() as nursery:
            for side in (free, beset):
                nursery.start_soon(watch, side)
    return windows[free], windows[beset]


async def _watch(side: Side, seconds: float) -> Window:
    await side.crowd.report()
    before = usage(side.gateway.pid).cpu
    await trio.sleep(seconds)
    cpu = usage(side.gateway.pid).cpu - before
    waits = (await side.crowd.report()).waits_ms
    return Window(percentile(waits, 50), percentile(waits, 99), cpu)


async def _growth(gateway: Server, size: Size) -> int:
    """Return by how many bytes it was larger at most, while some stood there for long."""
    before, most = usage(gateway.pid).rss, 0
    with a_crowd(gateway, size.stopped, still=True) as still:
        await still.wait_whole(statics=False)
        with trio.move_on_after(size.stand_seconds):
            while True:
                most = max(most, usage(gateway.pid).rss - before)
                await trio.sleep(LOOK_SECONDS)
    return most


def _figures(size: Size, pairs: Sequence[Pair], growth: int) -> list[Figure]:
    case = f"D. {size.stopped} of {size.readers + size.stopped} stand still"
    free, beset = zip(*pairs, strict=True)
    late = _ratios([(before.p99_ms, beside.p99_ms) for before, beside in pairs])
    cpu = _ratios([(before.cpu_seconds, beside.cpu_seconds) for before, beside in pairs])
    return [
        Figure(case, "p50 of the others, without them", median(w.p50_ms for w in free), "ms"),
        Figure(case, "p50 of the others, beside them", median(w.p50_ms for w in beset), "ms"),
        Figure(case, "p99 of the others, without them", median(w.p99_ms for w in free), "ms"),
        Figure(case, "p99 of the others, beside them", median(w.p99_ms for w in beset), "ms"),
        Figure(case, "p99, of what it is without", median(late), most=P99_RATIO),
        Figure(case, f"the lowest of {len(late)} turns", min(late)),
        Figure(case, f"the highest of {len(late)} turns", max(late)),
        Figure(case, "CPU of the gateway, of what it is without", median(cpu)),
        Figure(
            case,
            "memory that they make it grow, at most",
            growth / 2**20,
            "MB",
            most=size.bytes_most / 2**20,
        ),
    ]


def _ratios(values: Sequence[tuple[float, float]]) -> list[float]:
    """Beside by without, a turn each: what differs between the two gateways cancels out."""
    each = [beside / before for before, beside in values]
    return [geometric_mean(turn) for turn in zip(each[::2], each[1::2], strict=True)]
