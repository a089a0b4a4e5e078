from __future__ import annotations

from trio.abc import Clock

from common.bus import GatewayBeat, WorldCounts
from common.grid import ChunkId, Slot
from common.topology import SlotBeat
from tests.common.adapters.bench import (
    ALICE,
    BOB,
    EAST,
    SHORT,
    WEST,
    Bench,
    wait_ms,
)


async def test_an_empty_world_counts_nothing(bench: Bench, clock: Clock) -> None:
    assert await bench.gateway_bus().counts() == WorldCounts(0, 0, 0, frozenset())


async def test_counts_are_summed_over_all(bench: Bench, clock: Clock) -> None:
    bus, shard_bus, leases = bench.gateway_bus(), bench.shard_bus(), bench.leases()
    await leases.acquire(Slot(0), "one")
    await leases.acquire(Slot(1), "other")
    await shard_bus.beat(Slot(0), SlotBeat("one", 3, 5, 1.0))
    await shard_bus.beat(Slot(1), SlotBeat("other", 4, 5, 1.0))
    await bus.beat(EAST, GatewayBeat(agents=1, spectators=10))
    await bus.beat(WEST, GatewayBeat(agents=1, spectators=20))
    await bus.bind(ALICE, EAST)
    await bus.bind(BOB, EAST)

    assert await bus.counts() == WorldCounts(7, 2, 30, frozenset({Slot(0), Slot(1)}))


async def test_the_active_chunks_of_all_slots_are_listed_while_their_beats_count(
    bench: Bench, clock: Clock
) -> None:
    bus, shard_bus = bench.gateway_bus(), bench.shard_bus()
    here, there = ChunkId("0:0"), ChunkId("-7:12")
    await shard_bus.beat(Slot(0), SlotBeat("one", 1, 5, 1.0, {here: 5}))
    await shard_bus.beat(Slot(1), SlotBeat("other", 1, 0, 1.0, {there: 0}))
    assert (await bus.counts()).busiest == {here: 5, there: 0}

    await wait_ms(SHORT.beat_ms_max + 20)

    assert (await bus.counts()).busiest == {}


async def test_what_is_over_does_not_count(bench: Bench, clock: Clock) -> None:
    bus, shard_bus, leases = bench.gateway_bus(), bench.shard_bus(), bench.leases()
    await leases.acquire(Slot(0), "one")
    await shard_bus.beat(Slot(0), SlotBeat("one", 3, 5, 1.0))
    await bus.beat(EAST, GatewayBeat(agents=1, spectators=10))
    await bus.bind(ALICE, EAST)

    await wait_ms(SHORT.presence_ms + 20)

    assert await bus.counts() == WorldCounts(0, 0, 0, frozenset())


async def test_a_slot_counts_as_held_from_its_lease_on(bench: Bench, clock: Clock) -> None:
    leases = bench.leases()
    await leases.acquire(Slot(3), "one")
    assert (await bench.gateway_bus().counts()).slots == {Slot(3)}

    await leases.release(Slot(3), "one")

    assert (await bench.gateway_bus().counts()).slots == frozenset()
