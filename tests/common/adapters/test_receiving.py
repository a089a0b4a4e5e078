from __future__ import annotations

import trio
from trio.abc import Clock

from common.grid import Slot
from tests.common.adapters.bench import (
    SLOT,
    Bench,
    a_command,
    ids,
    offers,
    wait_ms,
)


async def test_messages_are_received_in_order_and_again_until_done(
    bench: Bench, clock: Clock
) -> None:
    bus = bench.shard_bus()
    await bench.gateway_bus().offer(offers("a", "b", "c"))

    first = await bus.receive(SLOT, "0", 2, 0)
    rest = await bus.receive(SLOT, first[-1].position, 10, 0)

    assert [received.message for received in first] == [a_command("a"), a_command("b")]
    assert [received.message for received in rest] == [a_command("c")]
    assert await bus.receive(SLOT, "0", 2, 0) == first


async def test_what_is_done_is_forgotten_and_nothing_else(bench: Bench, clock: Clock) -> None:
    bus = bench.shard_bus()
    await bench.gateway_bus().offer(offers("a", "b", "c"))
    received = await bus.receive(SLOT, "0", 10, 0)

    await bus.done(SLOT, received[1].position)

    assert await bus.receive(SLOT, "0", 10, 0) == received[2:]


async def test_a_slot_receives_only_its_own(bench: Bench, clock: Clock) -> None:
    await bench.gateway_bus().offer(offers("a", slot=Slot(1)) + offers("b", slot=Slot(2)))

    received = await bench.shard_bus().receive(Slot(2), "0", 10, 0)

    assert ids(each.message for each in received) == ["b"]


async def test_receiving_waits_for_the_first_message(bench: Bench, clock: Clock) -> None:
    async def offer_later() -> None:
        await wait_ms(50)
        await bench.gateway_bus().offer(offers("a"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(offer_later)
        received = await bench.shard_bus().receive(SLOT, "0", 10, 5_000)

    assert ids(each.message for each in received) == ["a"]


async def test_receiving_gives_up_after_a_while(bench: Bench, clock: Clock) -> None:
    assert await bench.shard_bus().receive(SLOT, "0", 10, 50) == []


async def test_waiting_for_messages_holds_nobody_up(bench: Bench, clock: Clock) -> None:
    bus = bench.shard_bus()
    async with trio.open_nursery() as nursery:
        for slot in range(50):
            nursery.start_soon(bus.receive, Slot(slot), "0", 1, 10_000)
        await wait_ms(50)
        with trio.fail_after(1):
            await bus.ping()
        nursery.cancel_scope.cancel()


async def test_a_message_that_can_t_be_read_has_a_position(bench: Bench, clock: Clock) -> None:
    bus = bench.shard_bus()
    await bench.spoil(SLOT)
    await bench.gateway_bus().offer(offers("a"))

    spoiled, sound = await bus.receive(SLOT, "0", 10, 0)

    assert spoiled.message is None
    assert sound.message == a_command("a")
    await bus.done(SLOT, spoiled.position)
    assert await bus.receive(SLOT, "0", 10, 0) == [sound]
