"""A shard at full size: chunks full of walkers, and commands between them.

Memory is measured between two sizes of the same world, so that what every process has is in
neither figure.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from statistics import fmean

import attrs
import trio

from common.adapters.redis_gateway_bus import RedisGatewayBus
from common.adapters.redis_leases import RedisLeases
from common.grid import Slot
from common.limits import TICK_HZ
from ops.bench.commanders import Commanders, commanders_of
from ops.bench.meter import Account, between, growth, quantile
from ops.bench.outcome import Figure, percentile
from ops.bench.populate import populate
from ops.bench.rig import SEED, Process, Rig, Site
from ops.bench.settlers import TICK, square, walkers
from shard.world.state import Chunk

CASE = "A. walking"
LOAD_SECONDS_MAX = 120.0
CORE_PERCENT, FIXED_PERCENT = 70.0, 15.0  # The latter whatever the size: calls a second.
STEPS, LATE_MS = 20_000, 50.0
AGENT_BYTES, CHUNK_BYTES = 2 * 1024, 40 * 1024
SEEN_CHUNKS = 100  # Whose deltas are counted: every tenth tells enough.
SEEN_TICKS = 20
LOOK_SECONDS = 0.2
SETTLE_SECONDS = 15.0
LOAD_SECONDS_LIKELY = 30.0  # On a slow machine ten were too few: the first had arrived by the end.
BASE_SECONDS = 1.0  # For a spare to have made its connections.
TICK_SECONDS = "tessera_shard_tick_seconds"
LATENESS_SECONDS = "tessera_shard_tick_lateness_seconds"
COMMIT_SECONDS = "tessera_shard_journal_commit_seconds"
ACCEPTED = "tessera_shard_commands_total{outcome=accepted}"


@attrs.frozen
class Size:
    chunks: int = 1_000
    walkers: int = 21
    """One more than 20: some are in each other's way, and 20,000 are to step."""
    rate: float = 200.0
    warm_seconds: float = 15.0
    """Until the ground of all chunks is laid: after a restart that takes a while."""
    seconds: float = 20.0

    @property
    def share(self) -> float:
        """Of the world that the targets are for."""
        return self.chunks / 1_000

    @property
    def steps(self) -> int:
        """More than can be walked until it is over, with the loading of the other chunks."""
        return int((self.warm_seconds + self.seconds + LOAD_SECONDS_LIKELY) * TICK_HZ)


async def measure(rig: Rig, size: Size) -> list[Figure]:
    base, small = await _memory(rig, size)
    chunks = list(walkers(SEED, square(size.chunks), size.walkers, size.steps, 1))
    async with rig.site("walking") as site:
        await populate(site, chunks)
        async with a_loaded_shard(rig, site, size.chunks) as shard:
            figures, large = await _walk(rig, site, shard, size, chunks)
    agents = [size.chunks * 2, size.chunks * (size.walkers + 1)]
    per_agent = growth([small, large], agents)
    is_whole = size.share >= 1  # What a process takes once would count for each of a few.
    per_chunk = (small - base - agents[0] * per_agent) / size.chunks
    return [
        *figures,
        Figure(
            CASE,
            "memory an agent (RSS, two sizes)",
            per_agent,
            "bytes",
            AGENT_BYTES if is_whole else None,
        ),
        Figure(
            CASE,
            "memory a chunk (RSS, two sizes)",
            per_chunk,
            "bytes",
            CHUNK_BYTES if is_whole else None,
        ),
        Figure(CASE, "memory of the process (RSS)", large / 2**20, "MB"),
    ]


async def _memory(rig: Rig, size: Size) -> tuple[int, int]:
    """Return what a shard takes with nothing, and with one walker (and one who stands) a chunk."""
    async with rig.site("memory") as site:
        await populate(site, walkers(SEED, square(size.chunks), 1, size.steps, 1))
        leases = RedisLeases(site.redis)
        await leases.acquire(Slot(0), "bench")
        async with rig.shard(site) as shard:
            await trio.sleep(BASE_SECONDS)
            base = shard.usage().rss
            await leases.release(Slot(0), "bench")
            await wait_loaded(shard, size.chunks)
            await trio.sleep(min(size.warm_seconds, SETTLE_SECONDS))
            return base, shard.usage().rss


@asynccontextmanager
async def a_loaded_shard(rig: Rig, site: Site, chunks: int) -> AsyncIterator[Process]:
    async with rig.shard(site) as shard:
        await wait_loaded(shard, chunks)
        yield shard


async def wait_loaded(shard: Process, chunks: int) -> None:
    with trio.fail_after(LOAD_SECONDS_MAX):
        await shard.wait_until(lambda now: now.samples["tessera_shard_chunks"] >= chunks)


async def _walk(
    rig: Rig, site: Site, shard: Process, size: Size, chunks: Sequence[Chunk]
) -> tuple[list[Figure], int]:
    sessions = [agent.session for chunk in chunks for agent in chunk.agents.values()]
    commanders = Commanders(site, commanders_of(chunks, 1), sessions)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(commanders.run, size.rate, size.warm_seconds + size.seconds)
        await trio.sleep(size.warm_seconds)
        parts = (shard, rig.database, rig.redis)
        before, then = await shard.account(), [part.usage() for part in parts]
        began = trio.current_time()
        await trio.sleep(size.seconds)
        now, after = [part.usage() for part in parts], await shard.account()
        seconds = trio.current_time() - began
        moved = await _moved(site, chunks)
    cpu = [(late.cpu - early.cpu) / seconds for early, late in zip(then, now, strict=True)]
    return _figures(size, seconds, before, after, cpu, moved, commanders), now[0].rss


def _figures(
    size: Size,
    seconds: float,
    before: Account,
    after: Account,
    cpu: Sequence[float],
    moved: float,
    commanders: Commanders,
) -> list[Figure]:
    late, tick = between(before, after, LATENESS_SECONDS), between(before, after, TICK_SECONDS)
    ticks = tick[float("inf")] / seconds / size.chunks
    accepted = (after.samples[ACCEPTED] - before.samples.get(ACCEPTED, 0)) / seconds
    steps = moved * ticks
    core = FIXED_PERCENT + (CORE_PERCENT - FIXED_PERCENT) * size.share
    commit = between(before, after, COMMIT_SECONDS)
    return [
        Figure(CASE, "agents that stepped, a tick", moved, least=STEPS * size.share),
        Figure(CASE, "ticks a second of each chunk", ticks, least=TICK_HZ * 0.98),
        Figure(CASE, "commands journaled a second", accepted, least=size.rate * 0.95),
        Figure(CASE, "CPU, shard", cpu[0] * 100, "%", most=core),
        Figure(CASE, "CPU a step, all included", cpu[0] / steps * 1e6 if steps else 0, "µs"),
        Figure(CASE, "CPU, PostgreSQL", cpu[1] * 100, "%"),
        Figure(CASE, "CPU, Valkey", cpu[2] * 100, "%"),
        Figure(CASE, "lateness of a tick, p50", quantile(late, 0.50) * 1000, "ms"),
        Figure(CASE, "lateness of a tick, p99", quantile(late, 0.99) * 1000, "ms", most=LATE_MS),
        Figure(CASE, "lateness of a tick, p99.9", quantile(late, 0.999) * 1000, "ms"),
        Figure(CASE, "time of a tick, p50", quantile(tick, 0.50) * 1000, "ms"),
        Figure(CASE, "time of a tick, p99", quantile(tick, 0.99) * 1000, "ms"),
        Figure(CASE, "commit of a batch, p50", quantile(commit, 0.50) * 1000, "ms"),
        Figure(CASE, "commit of a batch, p99", quantile(commit, 0.99) * 1000, "ms"),
        Figure(CASE, "offer to ack, p50", percentile(commanders.waits_ms, 50), "ms"),
        Figure(CASE, "offer to ack, p99", percentile(commanders.waits_ms, 99), "ms"),
    ]


async def _moved(site: Site, chunks: Sequence[Chunk]) -> float:
    """Return how many agents stepped in a tick of late, from the deltas that Redis keeps."""
    bus = RedisGatewayBus(site.redis)
    seen = chunks[:: max(1, len(chunks) // SEEN_CHUNKS)]
    stepped = []
    for chunk in seen:
        deltas = await bus.deltas_after(chunk.id, TICK) or ()
        last = [delta for delta in deltas if delta.tick > deltas[-1].tick - SEEN_TICKS]
        stepped.append(sum(delta.data.count(b'"moved"') for delta in last) / SEEN_TICKS)
    return fmean(stepped) * len(chunks)
