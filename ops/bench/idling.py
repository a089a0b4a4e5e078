"""Chunks in which nothing moves: what they cost by being there."""

from __future__ import annotations

import attrs
import trio

from ops.bench.meter import growth
from ops.bench.outcome import Figure
from ops.bench.populate import populate
from ops.bench.rig import SEED, Rig
from ops.bench.settlers import idlers, square
from ops.bench.walking import wait_loaded

CASE = "D. idling"
CPU_MS = 20.0  # A second. "Next to nothing": a fiftieth of a core for ten thousand.


@attrs.frozen
class Size:
    chunks: int = 10_000
    warm_seconds: float = 3.0
    seconds: float = 15.0


async def measure(rig: Rig, size: Size) -> list[Figure]:
    """An empty shard first: it has a lease to renew whatever it holds."""
    few, memory = await _idle(rig, size, 1)
    many, more = await _idle(rig, size, size.chunks)
    held = growth([memory, more], [1, size.chunks])
    return [
        Figure(CASE, "chunks, with an agent in each", size.chunks),
        Figure(CASE, "CPU a second with one of them", few, "ms"),
        Figure(CASE, "CPU a second with all", many, "ms"),
        Figure(CASE, "CPU a second, by their being there", many - few, "ms", most=CPU_MS),
        Figure(CASE, "memory a chunk and its agent (RSS)", held, "bytes"),
    ]


async def _idle(rig: Rig, size: Size, chunks: int) -> tuple[float, int]:
    async with rig.site(f"idling_{chunks}") as site:
        await populate(site, idlers(SEED, square(chunks)))
        async with rig.shard(site) as shard:
            await wait_loaded(shard, chunks)
            await trio.sleep(size.warm_seconds)
            then, began = shard.usage(), trio.current_time()
            await trio.sleep(size.seconds)
            now, seconds = shard.usage(), trio.current_time() - began
    return (now.cpu - then.cpu) / seconds * 1000, now.rss
