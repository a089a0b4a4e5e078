from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio

from common.adapters.redis_gateway_bus import RedisGatewayBus
from common.adapters.redis_leases import RedisLeases
from common.adapters.redis_shard_bus import RedisShardBus
from common.bus import GatewayBeat, Restored
from common.errors import Unavailable
from common.grid import AgentId, Epoch, Tick
from common.topology import SlotBeat
from gateway import ports as gateway_ports
from shard import ports as shard_ports
from tests.common.adapters.bench import (
    ALICE,
    EAST,
    HERE,
    HOLDER,
    SLOT,
    MemoryBench,
    deltas,
    hear,
    offers,
    opened,
)


def every_call(
    bus: gateway_ports.Bus, shard_bus: shard_ports.Bus, leases: shard_ports.Leases
) -> list[Callable[[], Awaitable[object]]]:
    agent = AgentId("agt_1")
    return [
        partial(bus.offer, offers("a")),
        partial(subscribe, bus),
        partial(bus.deltas_after, HERE, Tick(1)),
        partial(bus.bind, ALICE, EAST),
        partial(bus.release, ALICE, 1),
        partial(bus.refresh, EAST, [(ALICE, 1)]),
        partial(bus.is_present, ALICE),
        partial(bus.end, ALICE, False),
        partial(bus.lines_after, ALICE, 0),
        partial(bus.strike, agent, "invalid"),
        partial(bus.forgive, agent),
        partial(bus.cooldown_ms, agent),
        partial(bus.beat, EAST, GatewayBeat(1, 1)),
        bus.counts,
        bus.ping,
        partial(shard_bus.receive, SLOT, "0", 1, 10),
        partial(shard_bus.done, SLOT, "5-1"),
        partial(shard_bus.publish, SLOT, HOLDER, deltas(1)),
        partial(shard_bus.fence, {HERE: Epoch(1)}),
        partial(shard_bus.absent, [ALICE]),
        partial(shard_bus.reprieve, [ALICE]),
        partial(shard_bus.beat, SLOT, SlotBeat("one", 1, 1, 1.0)),
        shard_bus.ping,
        partial(leases.acquire, SLOT, "one"),
        partial(leases.renew, SLOT, "one"),
        partial(leases.release, SLOT, "one"),
    ]


async def subscribe(bus: gateway_ports.Bus) -> None:
    async with bus.inbound(EAST):
        raise AssertionError("there is nothing to subscribe to")


async def test_every_call_is_unavailable_while_the_memory_is_down() -> None:
    bench = MemoryBench(down=True)
    for call in every_call(bench.gateway_bus(), bench.shard_bus(), bench.leases()):
        with pytest.raises(Unavailable):
            await call()


async def test_a_memory_that_was_down_restores_subscriptions(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = MemoryBench()
    bus = bench.gateway_bus()
    async with bus.inbound(EAST) as inbox:
        await bus.watch(HERE)
        bench.redis.down = True
        await trio.sleep(10)
        with pytest.raises(trio.WouldBlock):
            inbox.receive_nowait()

        bench.redis.down = False

        assert isinstance(await hear(inbox), Restored)


async def test_nobody_watches_while_the_subscription_is_lost() -> None:
    bench = MemoryBench()
    bus = bench.gateway_bus()
    async with bus.inbound(EAST):
        await bench.cut()

        with pytest.raises(Unavailable):
            await bus.watch(HERE)


async def test_a_receiver_hears_at_once_that_the_memory_is_down(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = MemoryBench()

    async def go_down() -> None:
        await trio.sleep(1)
        bench.redis.down = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(go_down)
        with pytest.raises(Unavailable):
            await bench.shard_bus().receive(SLOT, "0", 1, 60_000)
    assert trio.current_time() < 2


async def test_every_call_is_unavailable_when_nothing_listens() -> None:
    async with opened(f"redis://127.0.0.1:{free_port()}") as redis:
        bus, shard_bus, leases = RedisGatewayBus(redis), RedisShardBus(redis), RedisLeases(redis)
        for call in every_call(bus, shard_bus, leases):
            with pytest.raises(Unavailable):
                await call()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
