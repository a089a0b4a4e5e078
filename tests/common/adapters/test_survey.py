"""Who is there, and what is new: gateways and shards see the same, on memory and on Redis."""

from __future__ import annotations

import trio
from trio.abc import Clock

from common.bus import Offer
from common.envelopes import ShowAsked
from common.grid import Slot
from common.topology import Pauses, ProcessBeat, SlotBeat, SlotState, Survey
from gateway.ports import Bus as GatewayBus
from shard.ports import Bus as ShardBus
from tests.common.adapters.bench import EAST, HERE, SHORT, Bench, wait_ms

BEAT = SlotBeat("one/1", 3, 5, 1.5, lateness_p50_ms=0.5, epoch=7, moved=Pauses(7, 2, 1, 2, 3))


async def test_there_is_nobody_at_first(bench: Bench, clock: Clock) -> None:
    assert await bench.gateway_bus().survey() == await bench.shard_bus().survey("one") == Survey()


async def test_who_holds_a_slot_is_seen_with_its_beat(bench: Bench, clock: Clock) -> None:
    await bench.leases().acquire(Slot(3), "one/1")
    await bench.leases().acquire(Slot(0), "other/12")
    await bench.shard_bus().beat(Slot(3), BEAT)

    survey = await bench.gateway_bus().survey()

    assert survey.slots == {Slot(0): SlotState("other", 0), Slot(3): SlotState("one", 0, BEAT)}
    assert survey.holders == {Slot(0): "other", Slot(3): "one"}
    assert (await bench.shard_bus().survey("one")).holders == survey.holders


async def test_a_stream_with_something_in_it_is_seen_though_nobody_holds_its_slot(
    bench: Bench, clock: Clock
) -> None:
    offer = Offer(slot=Slot(5), message=ShowAsked(HERE, EAST))
    await bench.gateway_bus().offer([offer, offer])

    assert (await bench.shard_bus().survey("one")).slots == {Slot(5): SlotState(None, 2)}


async def test_a_lease_or_a_beat_that_is_over_is_not_seen(bench: Bench, clock: Clock) -> None:
    await bench.leases().acquire(Slot(3), "one/1")
    await bench.shard_bus().beat(Slot(3), BEAT)
    await bench.shard_bus().beat_process("one", ProcessBeat((Slot(3),), 3))

    await wait_ms(SHORT.lease_ms + SHORT.beat_ms_max)

    assert await bench.gateway_bus().survey() == Survey()


async def test_processes_are_seen_until_they_part(bench: Bench, clock: Clock) -> None:
    bus = bench.shard_bus()
    one, other = ProcessBeat((Slot(3), Slot(1)), 40), ProcessBeat(is_draining=True)
    await bus.beat_process("one", one)
    await bus.beat_process("other", other)
    assert (await bench.gateway_bus().survey()).processes == {"one": one, "other": other}

    await bus.part("one")

    assert (await bus.survey("other")).processes == {"other": other}


async def test_the_process_that_holds_a_slot_is_told_to_drain_and_no_other(
    bench: Bench, clock: Clock
) -> None:
    await bench.leases().acquire(Slot(3), "one/1")
    await bench.leases().acquire(Slot(4), "other/1")

    assert await bench.gateway_bus().drain(Slot(3))

    assert (await bench.shard_bus().survey("one")).is_told_to_drain
    assert not (await bench.shard_bus().survey("other")).is_told_to_drain


async def test_nobody_is_told_to_drain_a_slot_that_nobody_holds(bench: Bench, clock: Clock) -> None:
    assert not await bench.gateway_bus().drain(Slot(3))


async def test_what_is_announced_is_heard_by_gateways_and_shards(
    bench: Bench, clock: Clock
) -> None:
    gateway, shard = bench.gateway_bus(), bench.shard_bus()
    heard: list[str] = []

    async with trio.open_nursery() as nursery:
        hearers: tuple[GatewayBus | ShardBus, ...] = (gateway, shard)
        for hearer in hearers:

            async def hear(hearer: GatewayBus | ShardBus = hearer) -> None:
                heard.append(await hearer.news("0", 5_000))

            nursery.start_soon(hear)
        await wait_ms(50)
        assert not heard
        await shard.announce()
    await gateway.announce()

    assert heard[0] == heard[1] != "0"
    assert await shard.news(heard[0], 0) != heard[0]


async def test_without_news_the_position_stays(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    await bus.announce()
    last = await bus.news("0", 0)

    with trio.fail_after(2):
        assert await bus.news(last, 50) == last


async def test_news_come_of_slots_that_are_taken_and_given_back_and_of_drains_and_partings(
    bench: Bench, clock: Clock
) -> None:
    bus, shard, leases = bench.gateway_bus(), bench.shard_bus(), bench.leases()
    last = "0"

    async def assert_news() -> None:
        nonlocal last
        before, last = last, await bus.news(last, 0)
        assert last != before

    await leases.acquire(Slot(3), "one/1")
    await assert_news()
    await bus.drain(Slot(3))
    await assert_news()
    await leases.release(Slot(3), "one/1")
    await assert_news()
    await shard.part("one")
    await assert_news()
    await leases.acquire(Slot(3), "one/1")
    await assert_news()
    await leases.acquire(Slot(3), "one/1")
    await leases.release(Slot(3), "other/1")
    assert await bus.news(last, 0) == last
