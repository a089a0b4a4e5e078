"""The two kinds of Redis that the contract tests run on, and what one needs to write such tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

import trio
import trio_asyncio

from common import topics, wire
from common.adapters.durations import Durations
from common.adapters.memory_gateway_bus import MemoryGatewayBus
from common.adapters.memory_leases import MemoryLeases
from common.adapters.memory_redis import MemoryRedis
from common.adapters.memory_shard_bus import MemoryShardBus
from common.adapters.redis import Redis, open_redis
from common.adapters.redis_gateway_bus import RedisGatewayBus
from common.adapters.redis_leases import RedisLeases
from common.adapters.redis_shard_bus import RedisShardBus
from common.bus import Binding, Offer, Outgoing, PublishedDelta, Received, Refusal
from common.commands import Wait
from common.envelopes import AckLine, CommandOffered, ResultLine, ShowAsked
from common.frames import ChunkDelta, Position
from common.grid import AgentId, ChunkId, CommandId, Epoch, GatewayId, SessionId, Slot, Tick
from gateway import ports as gateway_ports
from shard import ports as shard_ports

# Long enough for a busy machine not to overtake them, short enough to be waited for.
SHORT = Durations(
    resume_ms=300,
    presence_ms=600,
    strike_window_ms=400,
    cooldown_ms=300,
    lease_ms=300,
    creation_ms=300,
    deltas_kept_ms=300,
    beat_ms_max=300,
    able_ms_max=300,
)

HERE = ChunkId("0:0")
THERE = ChunkId("-1:0")
ALICE = SessionId("ses_alice")
BOB = SessionId("ses_bob")
EAST = GatewayId("east")
WEST = GatewayId("west")
SLOT = Slot(1)
OTHER = Slot(2)
HOLDER = "shard-1"
SOON_MS = 4_000_000_000_000  # Not yet expired by any clock.

T = TypeVar("T")


class Bench(Protocol):
    """One Redis, empty, and as many views on it as a test wants."""

    durations: Durations
    """SHORT, unless a test sets others before it asks for a view."""

    async def publish(self, outgoing: Outgoing) -> frozenset[ChunkId] | None:
        """As a shard that holds SLOT as HOLDER."""
        await self.leases().acquire(SLOT, HOLDER)
        return await self.shard_bus().publish(SLOT, HOLDER, outgoing)

    def gateway_bus(self) -> gateway_ports.Bus: ...

    def shard_bus(self) -> shard_ports.Bus: ...

    def leases(self) -> shard_ports.Leases: ...

    async def spoil(self, slot: Slot) -> None:
        """Send a message to ``slot`` that nobody can read."""

    async def cut(self) -> None:
        """End all subscriptions."""

    async def forget(self) -> None:
        """Lose all data."""


class MemoryBench(Bench):
    def __init__(self, *, down: bool = False) -> None:
        self.redis = MemoryRedis(SHORT)
        self.redis.down = down

    @property
    def durations(self) -> Durations:
        return self.redis.durations

    @durations.setter
    def durations(self, durations: Durations) -> None:
        self.redis.durations = durations

    def gateway_bus(self) -> gateway_ports.Bus:
        return MemoryGatewayBus(self.redis)

    def shard_bus(self) -> shard_ports.Bus:
        return MemoryShardBus(self.redis)

    def leases(self) -> shard_ports.Leases:
        return MemoryLeases(self.redis)

    async def spoil(self, slot: Slot) -> None:
        self.redis.append(slot, None)

    async def cut(self) -> None:
        self.redis.cut()

    async def forget(self) -> None:
        self.redis.forget()


class RedisBench(Bench):
    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.durations = SHORT

    def gateway_bus(self) -> gateway_ports.Bus:
        return RedisGatewayBus(self.redis, self.durations)

    def shard_bus(self) -> shard_ports.Bus:
        return RedisShardBus(self.redis, self.durations)

    def leases(self) -> shard_ports.Leases:
        return RedisLeases(self.redis, self.durations)

    async def spoil(self, slot: Slot) -> None:
        await self.redis.command("XADD", topics.commands(slot), "*", "m", '{"type": "poem"}')

    async def cut(self) -> None:
        await self.redis.command("CLIENT", "KILL", "TYPE", "pubsub")

    async def forget(self) -> None:
        await self.redis.command("FLUSHALL")


@asynccontextmanager
async def open_bench(url: str | None) -> AsyncIterator[Bench]:
    """A bench in memory, or on the server at ``url``."""
    if url is None:
        yield MemoryBench()
        return
    async with trio_asyncio.open_loop(), open_redis(url) as redis:
        await redis.command("FLUSHALL")
        yield RedisBench(redis)


async def wait_ms(milliseconds: float) -> None:
    """Let time pass: at once on the mock clock, really on a real server."""
    await trio.sleep(milliseconds / 1_000)


async def hear(inbox: trio.MemoryReceiveChannel[T]) -> T:
    with trio.fail_after(5):
        return await inbox.receive()


def a_delta(
    tick: int, *, chunk: ChunkId = HERE, prev_tick: int | None = None, epoch: int = 1
) -> PublishedDelta:
    prev_tick = tick - 1 if prev_tick is None else prev_tick
    data = wire.encode(ChunkDelta(chunk, Tick(tick), Tick(prev_tick), []))
    return PublishedDelta(chunk, Epoch(epoch), Tick(tick), Tick(prev_tick), data)


def deltas(*ticks: int) -> Outgoing:
    return Outgoing(deltas=[a_delta(tick) for tick in ticks])


def an_ack(seq: int, *, session: SessionId = ALICE, id: str | None = None) -> AckLine:
    return AckLine(session, CommandId(id or f"c-{seq}"), seq, Tick(7))


def a_refusal(received: Received, *, is_told: bool = True) -> Refusal:
    """Of the command that was received."""
    message = received.message
    assert isinstance(message, CommandOffered)
    line = AckLine(
        message.session, message.id, code="in_flight", expires_at_ms=message.expires_at_ms
    )
    return Refusal(received.position, line, is_told)


def a_result(seq: int, *, session: SessionId = ALICE) -> ResultLine:
    return ResultLine(session, CommandId(f"c-{seq}"), seq, Tick(9), HERE, Position(1, 2))


def a_command(id: str = "c-1", expires_at_ms: int = 1_000) -> CommandOffered:
    agent = AgentId("agt_1")
    return CommandOffered(ALICE, agent, CommandId(id), Wait(3), HERE, EAST, expires_at_ms)


def a_question(chunk: ChunkId = HERE) -> ShowAsked:
    return ShowAsked(chunk, EAST)


def offers(*ids: str, slot: Slot = SLOT) -> list[Offer]:
    return [Offer(slot=slot, message=a_command(id)) for id in ids]


def noted(id: str, binding: Binding, expires_at_ms: int = SOON_MS) -> Offer:
    """An offer of ALICE's, made by the connection of ``binding``."""
    message = a_command(id, expires_at_ms)
    return Offer(slot=SLOT, message=message, connection=binding.connection)


def ids(received: Iterable[object]) -> list[str]:
    return [message.id for message in received if isinstance(message, CommandOffered)]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Redis]:
    async with trio_asyncio.open_loop(), open_redis(url) as redis:
        yield redis
