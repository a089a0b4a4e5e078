"""A shard's part, played by the bench: it shows a chunk to whoever asks, and says what happens.

It goes through the shard's own adapter, so what a gateway hears is what a shard would have sent.
The same text is published for the rival, so that both have the same to do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic_ns

import attrs
import trio

from common import wire
from common.adapters.redis import Redis
from common.adapters.redis_leases import RedisLeases
from common.adapters.redis_shard_bus import RedisShardBus
from common.bus import Outgoing, PublishedDelta
from common.envelopes import ShowAsked, Shown
from common.events import Said
from common.frames import ChunkDelta, ChunkStatic
from common.grid import CHUNK_SIZE, AgentId, ChunkId, Epoch, Slot, Tick
from common.limits import LEASE_MS, LEASE_RENEWALS, TICK_SECONDS
from ops.bench.rival import CHANNEL

CHUNK = ChunkId("0:0")
_SLOT, _HOLDER = Slot(0), "bench/1"
_WAIT_MS = 500


@attrs.define
class Source:
    """``delta_bytes``: the size of each delta's JSON; ``tick``: the last one that was said."""

    _redis: Redis
    _bus: RedisShardBus
    delta_bytes: int = 300
    chunks: Sequence[ChunkId] = (CHUNK,)
    """All do the same at the same ticks; the rival hears of the first."""
    tick: Tick = attrs.field(default=Tick(1), init=False)

    async def serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self._hold)
            nursery.start_soon(self._show)
            task_status.started()

    async def speak(self, stop: trio.Event) -> None:
        """Say one delta a tick, until ``stop``; each is said wholly."""
        due = trio.current_time()
        while not stop.is_set():
            await self._say()
            due = max(due + TICK_SECONDS, trio.current_time())
            with trio.move_on_at(due):
                await stop.wait()

    async def say_past(self, ticks: int) -> None:
        """Say so many ticks at once, as if it had been speaking for long."""
        for _ in range(ticks):
            await self._say()

    async def _say(self) -> None:
        before, self.tick = self.tick, Tick(self.tick + 1)
        deltas = [
            PublishedDelta(chunk, Epoch(1), self.tick, before, self._delta(chunk, before))
            for chunk in self.chunks
        ]
        await self._bus.publish(_SLOT, _HOLDER, Outgoing(deltas=deltas))
        await self._redis.command("PUBLISH", CHANNEL, deltas[0].data)

    def _delta(self, chunk: ChunkId, before: Tick) -> bytes:
        """When it was said is in it, for the readers."""
        said = f"@{monotonic_ns()}@"
        bare = wire.encode(ChunkDelta(chunk, self.tick, before, [Said(AgentId("agt_1"), said)]))
        text = said + "." * max(0, self.delta_bytes - len(bare))
        return wire.encode(ChunkDelta(chunk, self.tick, before, [Said(AgentId("agt_1"), text)]))

    async def _hold(self, *, task_status: trio.TaskStatus[None]) -> None:
        leases = RedisLeases(self._redis)
        assert await leases.acquire(_SLOT, _HOLDER), "nobody else is here"
        task_status.started()
        while True:
            await trio.sleep(LEASE_MS / 1000 / LEASE_RENEWALS)
            await leases.renew(_SLOT, _HOLDER)

    async def _show(self) -> None:
        after = "0"
        while True:
            for received in await self._bus.receive(_SLOT, after, 100, _WAIT_MS):
                after = received.position
                if isinstance(received.message, ShowAsked):
                    static = wire.encode(self._static(received.message.chunk)).decode()
                    shown = Shown(received.message.chunk, static)
                    replies = [(received.message.gateway, shown)]
                    await self._bus.publish(_SLOT, _HOLDER, Outgoing(replies=replies))

    def _static(self, chunk: ChunkId) -> ChunkStatic:
        rows = ["." * CHUNK_SIZE] * CHUNK_SIZE
        return ChunkStatic(chunk, 1, self.tick, CHUNK_SIZE, rows, [])


@asynccontextmanager
async def a_source(
    redis: Redis, delta_bytes: int = 300, chunks: Sequence[ChunkId] = (CHUNK,)
) -> AsyncIterator[Source]:
    """Shows are answered for as long as the block lasts; deltas are said by ``speak``."""
    source = Source(redis, RedisShardBus(redis), delta_bytes, chunks)
    async with trio.open_nursery() as nursery:
        await nursery.start(source.serve)
        yield source
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def speaking(source: Source) -> AsyncIterator[None]:
    """It speaks for as long as the block lasts, and has said everything at its end."""
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(source.speak, stop)
        yield
        stop.set()
