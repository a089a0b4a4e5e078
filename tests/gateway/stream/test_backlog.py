from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import pytest
import trio

from common.adapters.memory_gateway_bus import MemoryGatewayBus
from common.adapters.memory_redis import MemoryRedis
from common.bus import Delta
from common.errors import Unavailable
from common.grid import ChunkId, Tick
from gateway.stream.backlog import Backlog
from tests.gateway.stream.scripted import HERE, THERE, Shard, soon


class HesitantBus(MemoryGatewayBus):
    """Answers as it stood when it was asked, and not before the ``gate`` is open."""

    def __init__(self, redis: MemoryRedis) -> None:
        super().__init__(redis)
        self.redis = redis
        self.asked: list[Tick] = []
        self.gate = trio.Event()

    async def deltas_after(self, chunk: ChunkId, tick: Tick) -> Sequence[Delta] | None:
        self.asked.append(tick)
        deltas = await super().deltas_after(chunk, tick)
        await self.gate.wait()
        return deltas


class Crowd:
    """Those who come back, and by what each asked for, the ticks that it was told."""

    def __init__(self, nursery: trio.Nursery, bus: MemoryGatewayBus) -> None:
        self.told: dict[tuple[int, int], list[int] | None] = {}
        self.backlog = Backlog(bus)
        self._nursery = nursery

    async def come(self, *afters: int, until: int, chunk: ChunkId = HERE) -> None:
        for after in afters:
            self._nursery.start_soon(self._ask, chunk, after, until)
            await soon()

    async def _ask(self, chunk: ChunkId, after: int, until: int) -> None:
        deltas = await self.backlog.deltas(chunk, Tick(after), Tick(until))
        ticks = None if deltas is None else [int(delta.tick) for delta in deltas]
        self.told[after, until] = ticks


@asynccontextmanager
async def a_crowd(ticks: Iterable[int]) -> AsyncIterator[tuple[Crowd, HesitantBus, Shard]]:
    redis = MemoryRedis()
    bus, shard = HesitantBus(redis), Shard(redis)
    for tick in ticks:
        await shard.say(tick)
    async with trio.open_nursery() as nursery:
        yield Crowd(nursery, bus), bus, shard
        nursery.cancel_scope.cancel()


async def test_a_crowd_that_missed_the_same_or_less_is_told_from_one_reading() -> None:
    async with a_crowd(range(1, 7)) as (crowd, bus, _):
        await crowd.come(2, 2, 4, 3, until=6)
        bus.gate.set()
        await soon()
        assert bus.asked == [2]
        assert crowd.told == {(2, 6): [3, 4, 5, 6], (4, 6): [5, 6], (3, 6): [4, 5, 6]}


async def test_who_missed_more_or_saw_more_since_reads_again() -> None:
    async with a_crowd(range(1, 7)) as (crowd, bus, shard):
        await crowd.come(4, 2, until=6)
        await shard.say(7)
        await crowd.come(4, until=7)
        bus.gate.set()
        await soon()
        assert crowd.told == {(4, 6): [5, 6], (2, 6): [3, 4, 5, 6, 7], (4, 7): [5, 6, 7]}
        asked = len(bus.asked)
        await crowd.come(4, until=7)
        assert len(bus.asked) == asked + 1, "nothing is remembered once nobody waits"


async def test_a_reading_that_ended_too_early_is_not_shared() -> None:
    async with a_crowd(range(1, 7)) as (crowd, bus, shard):
        await crowd.come(4, until=6)
        await shard.say(7)
        await crowd.come(4, until=7)
        bus.gate.set()
        await soon()
        assert crowd.told == {(4, 6): [5, 6], (4, 7): [5, 6, 7]}


async def test_that_some_are_gone_is_said_to_nobody_who_needs_them_not() -> None:
    async with a_crowd([]) as (crowd, bus, shard):
        shard.be_born_again(HERE, 1, 4)
        await shard.say(5)
        await shard.say(6)
        await crowd.come(2, 5, until=6)
        bus.gate.set()
        await soon()
        assert crowd.told == {(2, 6): None, (5, 6): [6]}


async def test_chunks_do_not_wait_for_each_other() -> None:
    async with a_crowd([1]) as (crowd, bus, shard):
        await shard.say(1, chunk=THERE)
        await crowd.come(0, until=1)
        await crowd.come(0, until=1, chunk=THERE)
        assert bus.asked == [0, 0]


async def test_who_goes_while_reading_leaves_it_to_the_next() -> None:
    async with a_crowd([1, 2]) as (crowd, bus, _):
        with trio.CancelScope() as going:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(crowd.backlog.deltas, HERE, Tick(0), Tick(2))
                await soon()
                await crowd.come(1, until=2)
                going.cancel()
        bus.gate.set()
        await soon()
        assert bus.asked == [0, 1]
        assert crowd.told == {(1, 2): [2]}


async def test_trouble_is_each_ones_own() -> None:
    async with a_crowd([1, 2]) as (crowd, bus, _):
        bus.gate.set()
        bus.redis.down = True
        with pytest.raises(Unavailable):
            await crowd.backlog.deltas(HERE, Tick(0), Tick(2))
        bus.redis.down = False
        await crowd.come(0, until=2)
        assert crowd.told == {(0, 2): [1, 2]}
