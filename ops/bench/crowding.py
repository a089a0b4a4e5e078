"""All agents of one chunk set out for the same cell in the same tick: how long ticks take then."""

from __future__ import annotations

import attrs
import trio

from common.grid import ChunkId
from ops.bench.meter import between, bound_of_all, quantile
from ops.bench.outcome import Figure
from ops.bench.populate import populate
from ops.bench.rig import SEED, Rig
from ops.bench.settlers import crowd
from ops.bench.walking import TICK_SECONDS, wait_loaded

CASE = "C. crowding"
TICK_MS = 20.0


@attrs.frozen
class Size:
    agents: int = 200
    seconds: float = 15.0


async def measure(rig: Rig, size: Size) -> list[Figure]:
    """The first tick, in which everybody looks for a way, is among those measured."""
    async with rig.site("crowding") as site:
        await populate(site, [crowd(SEED, ChunkId("0:0"), size.agents)])
        async with rig.shard(site) as shard:
            before = await shard.account()
            await wait_loaded(shard, 1)
            await trio.sleep(size.seconds)
            after = await shard.account()
    ticks = between(before, after, TICK_SECONDS)
    return [
        Figure(CASE, "agents", size.agents),
        Figure(CASE, "ticks until all had arrived or failed", ticks[float("inf")]),
        Figure(CASE, "time of a tick, p50", quantile(ticks, 0.5) * 1000, "ms"),
        Figure(CASE, "time of a tick, p99", quantile(ticks, 0.99) * 1000, "ms"),
        Figure(CASE, "no tick was longer than", bound_of_all(ticks) * 1000, "ms", most=TICK_MS),
    ]
