"""A shard that says what it is told to say, and the feeds of a gateway that listen to it."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio
import trio.testing

from common import wire
from common.adapters.memory_gateway_bus import MemoryGatewayBus
from common.adapters.memory_redis import MemoryRedis
from common.adapters.memory_shard_bus import MemoryShardBus
from common.bus import Delta, Offer, Outgoing, PublishedDelta, Verdict
from common.envelopes import ShowAsked, Shown
from common.errors import Unavailable
from common.events import Entered, Event, Moved
from common.frames import ChunkDelta, ChunkStatic
from common.grid import AgentId, ChunkId, Epoch, GatewayId, Slot, Tick
from common.replica import Replica, as_static, fold, replica_of
from common.topology import Topology
from gateway.stream.feeds import FeedDelta, Feeds, Static
from gateway.switchboard import Switchboard
from gateway.topology import Routes

HERE = ChunkId("0:0")
THERE = ChunkId("1:0")
GATEWAY = GatewayId("gateway-1")


def a_static(chunk: ChunkId = HERE, tick: int = 0, generation: int = 1) -> ChunkStatic:
    return ChunkStatic(chunk, generation, Tick(tick), 2, ["..", ".#"], [])


def a_delta(
    tick: int, prev_tick: int, *events: Event, chunk: ChunkId = HERE, data: bytes | None = None
) -> FeedDelta:
    frame = ChunkDelta(chunk, Tick(tick), Tick(prev_tick), list(events))
    delta = Delta(chunk, frame.tick, frame.prev_tick, data or wire.encode(frame))
    return FeedDelta(delta, frame.events)


def arrival(name: str = "ada") -> Entered:
    return Entered(AgentId(name), "agent", 1, 0, name)


def step(name: str = "ada", x: int = 1, y: int = 1) -> Moved:
    return Moved(AgentId(name), x, y)


@attrs.define
class Ear:
    """A listener that remembers."""

    heard: list[Static | FeedDelta] = attrs.field(factory=list)

    def hear(self, item: Static | FeedDelta) -> None:
        self.heard.append(item)

    @property
    def ticks(self) -> list[str]:
        """As ``["static 3", "4", "6"]``."""
        return [
            f"static {item.tick}" if isinstance(item, Static) else str(item.delta.tick)
            for item in self.heard
        ]

    @property
    def generations(self) -> list[int]:
        """Of the statics."""
        return [item.generation for item in self.heard if isinstance(item, Static)]

    __hash__ = object.__hash__


@attrs.define(eq=False)
class Shard:
    """Shows what its deltas amount to, when it is asked; it asks nobody what happens in them."""

    redis: MemoryRedis
    chunks: dict[ChunkId, Replica] = attrs.field(factory=dict)
    is_up: bool = True
    asked: int = 0

    async def run(self) -> None:
        after = "0"
        while True:
            try:
                after = await self._answer(after)
            except Unavailable:
                await trio.sleep(1)

    async def _answer(self, after: str) -> str:
        for received in await MemoryShardBus(self.redis).receive(Slot(0), after, 100, 1_000):
            after = received.position
            if self.is_up and isinstance(received.message, ShowAsked):
                self.asked += 1
                await self.show(received.message.chunk, received.message.gateway)
        return after

    async def show(self, chunk: ChunkId, gateway: GatewayId = GATEWAY) -> None:
        static = as_static(self.replica(chunk))
        shown = Shown(chunk, wire.encode(static).decode())
        await self._publish(Outgoing(replies=[(gateway, shown)]))

    async def _publish(self, outgoing: Outgoing) -> None:
        self.redis.leases[Slot(0)] = ("scripted", math.inf)
        await MemoryShardBus(self.redis).publish(Slot(0), "scripted", outgoing)

    async def say(self, tick: int, *events: Event, chunk: ChunkId = HERE) -> None:
        """Publish the delta of ``tick``."""
        replica = self.replica(chunk)
        frame = ChunkDelta(chunk, Tick(tick), replica.tick, list(events))
        self.chunks[chunk] = fold(replica, frame)
        published = PublishedDelta(chunk, Epoch(1), frame.tick, frame.prev_tick, wire.encode(frame))
        await self._publish(Outgoing(deltas=[published]))

    async def say_unheard(self, tick: int, *events: Event, chunk: ChunkId = HERE) -> None:
        """Publish the delta of ``tick``, and let pub/sub drop it."""
        (subscriber,) = self.redis.subscribers
        subscriber.watched.discard(chunk)
        await self.say(tick, *events, chunk=chunk)
        subscriber.watched.add(chunk)

    def be_born_again(self, chunk: ChunkId, generation: int, tick: int) -> None:
        """Collect ``chunk``: the next generation begins at ``tick``, with nobody in it."""
        self.chunks[chunk] = replica_of(a_static(chunk, tick, generation))

    def replica(self, chunk: ChunkId) -> Replica:
        return self.chunks.setdefault(chunk, replica_of(a_static(chunk)))


@attrs.frozen
class DirectCourier:
    bus: MemoryGatewayBus

    async def offer(self, offer: Offer) -> Verdict:
        return (await self.bus.offer([offer]))[0]


@attrs.frozen
class Scene:
    shard: Shard
    feeds: Feeds
    bus: MemoryGatewayBus
    redis: MemoryRedis


@asynccontextmanager
async def a_scene() -> AsyncIterator[Scene]:
    redis = MemoryRedis()
    bus = MemoryGatewayBus(redis)
    feeds = Feeds(bus, DirectCourier(bus), Routes(Topology(1, 1)), GATEWAY)
    shard = Shard(redis)
    async with trio.open_nursery() as nursery:
        await nursery.start(Switchboard(bus, GATEWAY, feeds).run)
        await nursery.start(feeds.run)
        nursery.start_soon(shard.run)
        yield Scene(shard, feeds, bus, redis)
        nursery.cancel_scope.cancel()


async def soon() -> None:
    """Until everything that can happen now has happened."""
    await trio.testing.wait_all_tasks_blocked()
