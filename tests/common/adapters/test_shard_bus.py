from __future__ import annotations

import pytest
import trio
from trio.abc import Clock

from common.bus import Outgoing, PublishedDelta
from common.grid import ChunkId, Epoch, Slot, Tick
from common.limits import SESSION_LINES_MAX
from tests.common.adapters.bench import (
    ALICE,
    BOB,
    EAST,
    HERE,
    SHORT,
    SLOT,
    THERE,
    WEST,
    Bench,
    a_command,
    a_delta,
    a_question,
    a_result,
    an_ack,
    deltas,
    hear,
    ids,
    offers,
    wait_ms,
)

# Receiving


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


# Publishing


async def test_an_old_epoch_is_refused_and_unheard(bench: Bench, clock: Clock) -> None:
    bus, gateway_bus = bench.shard_bus(), bench.gateway_bus()
    await bus.publish(Outgoing(deltas=[a_delta(5, epoch=2)]))
    async with gateway_bus.inbound(EAST) as inbox:
        await gateway_bus.watch(HERE)
        await gateway_bus.watch(THERE)

        refused = await bus.publish(
            Outgoing(deltas=[a_delta(6, epoch=1), a_delta(6, chunk=THERE, epoch=1)])
        )

        assert refused == {HERE}
        assert getattr(await hear(inbox), "chunk", None) == THERE
        assert await gateway_bus.deltas_after(HERE, Tick(5)) == []


async def test_the_first_delta_of_a_newer_epoch_shuts_out_the_older(
    bench: Bench, clock: Clock
) -> None:
    bus = bench.shard_bus()
    await bus.publish(Outgoing(deltas=[a_delta(5, epoch=1)]))

    # Also when it is one that was published before.
    assert await bus.publish(Outgoing(deltas=[a_delta(5, epoch=2)])) == frozenset()

    assert await bus.publish(Outgoing(deltas=[a_delta(6, epoch=1)])) == {HERE}


async def test_a_fence_shuts_out_older_epochs_and_tells_the_last_tick(
    bench: Bench, clock: Clock
) -> None:
    bus = bench.shard_bus()
    await bus.publish(deltas(5, 6))

    assert await bus.fence({HERE: Epoch(3), THERE: Epoch(3)}) == {HERE: 6}

    late = [a_delta(7, epoch=2), a_delta(7, chunk=THERE, epoch=2)]
    assert await bus.publish(Outgoing(deltas=late)) == {HERE, THERE}
    assert await bus.publish(Outgoing(deltas=[a_delta(7, epoch=3)])) == frozenset()


async def test_an_old_fence_does_not_let_anybody_back_in(bench: Bench, clock: Clock) -> None:
    bus = bench.shard_bus()
    await bus.fence({HERE: Epoch(3)})

    await bus.fence({HERE: Epoch(2)})

    assert await bus.publish(Outgoing(deltas=[a_delta(1, epoch=2)])) == {HERE}


async def test_the_last_tick_is_known_when_the_deltas_are_no_longer_kept(
    bench: Bench, clock: Clock
) -> None:
    bus = bench.shard_bus()
    await bus.publish(deltas(5))

    await wait_ms(SHORT.deltas_kept_ms + 20)

    assert await bus.fence({HERE: Epoch(3)}) == {HERE: 5}


async def test_a_tick_is_published_once(bench: Bench, clock: Clock) -> None:
    bus, gateway_bus = bench.shard_bus(), bench.gateway_bus()
    async with gateway_bus.inbound(EAST) as inbox:
        await gateway_bus.watch(HERE)

        assert await bus.publish(deltas(5, 6)) == frozenset()
        assert await bus.publish(deltas(5, 6, 7)) == frozenset()

        assert [getattr(await hear(inbox), "tick", None) for _ in range(3)] == [5, 6, 7]
        kept = await gateway_bus.deltas_after(HERE, Tick(4))
        assert [delta.tick for delta in kept or ()] == [5, 6, 7]


async def test_deltas_come_as_they_were_published(bench: Bench, clock: Clock) -> None:
    bus, gateway_bus = bench.shard_bus(), bench.gateway_bus()
    data = '{"say": "grüße \\n -1"}'.encode()
    delta = PublishedDelta(ChunkId("-3:-4"), Epoch(1), Tick(2**40), Tick(3), data)
    async with gateway_bus.inbound(EAST) as inbox:
        await gateway_bus.watch(delta.chunk)

        await bus.publish(Outgoing(deltas=[delta]))

        heard = await hear(inbox)
        assert getattr(heard, "data", None) == data
        assert [heard] == await gateway_bus.deltas_after(delta.chunk, Tick(2**40 - 1))


async def test_lines_are_kept_and_sent_to_the_gateway_that_serves_the_session(
    bench: Bench, clock: Clock
) -> None:
    bus, gateway_bus = bench.shard_bus(), bench.gateway_bus()
    async with gateway_bus.inbound(EAST) as east, bench.gateway_bus().inbound(WEST) as west:
        await gateway_bus.bind(ALICE, EAST)
        await gateway_bus.bind(BOB, WEST)

        await bus.publish(Outgoing(lines=[an_ack(1), an_ack(1, session=BOB), a_result(2)]))

        assert [await hear(east), await hear(east)] == [an_ack(1), a_result(2)]
        assert await hear(west) == an_ack(1, session=BOB)
    assert await gateway_bus.lines_after(ALICE, 0) == [an_ack(1), a_result(2)]
    assert await gateway_bus.lines_after(ALICE, 1) == [a_result(2)]


async def test_a_line_without_a_seq_is_sent_and_not_kept(bench: Bench, clock: Clock) -> None:
    bus, gateway_bus = bench.shard_bus(), bench.gateway_bus()
    async with gateway_bus.inbound(EAST) as inbox:
        await gateway_bus.bind(ALICE, EAST)

        await bus.publish(Outgoing(lines=[an_ack(None)]))

        assert await hear(inbox) == an_ack(None)
    assert await gateway_bus.lines_after(ALICE, 0) == []


async def test_a_line_with_an_old_seq_is_passed_over(bench: Bench, clock: Clock) -> None:
    bus, gateway_bus = bench.shard_bus(), bench.gateway_bus()
    async with gateway_bus.inbound(EAST) as inbox:
        await gateway_bus.bind(ALICE, EAST)

        await bus.publish(Outgoing(lines=[an_ack(1), a_result(2)]))
        await bus.publish(Outgoing(lines=[a_result(2), an_ack(3)]))

        assert [await hear(inbox) for _ in range(3)] == [an_ack(1), a_result(2), an_ack(3)]
    assert await gateway_bus.lines_after(ALICE, 0) == [an_ack(1), a_result(2), an_ack(3)]


async def test_lines_of_a_session_that_nobody_serves_are_kept(bench: Bench, clock: Clock) -> None:
    await bench.shard_bus().publish(Outgoing(lines=[an_ack(1)]))

    assert await bench.gateway_bus().lines_after(ALICE, 0) == [an_ack(1)]


async def test_only_so_many_lines_are_kept(bench: Bench, clock: Clock) -> None:
    count = SESSION_LINES_MAX + 500

    await bench.shard_bus().publish(Outgoing(lines=[an_ack(seq) for seq in range(1, count + 1)]))

    kept = await bench.gateway_bus().lines_after(ALICE, 0)
    assert kept[-1] == an_ack(count)
    assert SESSION_LINES_MAX <= len(kept) < count


async def test_all_of_a_publication_arrives_in_its_order(bench: Bench, clock: Clock) -> None:
    bus, gateway_bus = bench.shard_bus(), bench.gateway_bus()
    outgoing = Outgoing(
        deltas=[a_delta(1), a_delta(1, chunk=THERE), a_delta(2)],
        lines=[an_ack(1), an_ack(1, session=BOB), an_ack(None)],
        replies=[(EAST, a_result(8)), (WEST, a_result(9))],
        forwards=[(SLOT, a_question(HERE)), (SLOT, a_question(THERE))],
    )
    async with gateway_bus.inbound(EAST) as inbox:
        await gateway_bus.watch(HERE)
        await gateway_bus.bind(ALICE, EAST)

        await bus.publish(outgoing)

        heard = [await hear(inbox) for _ in range(5)]
        assert [getattr(delta, "tick", None) for delta in heard[:2]] == [1, 2]
        assert heard[2:] == [an_ack(1), an_ack(None), a_result(8)]
    received = await bus.receive(SLOT, "0", 10, 0)
    assert [each.message for each in received] == [a_question(HERE), a_question(THERE)]


async def test_nothing_to_publish_is_no_trouble(bench: Bench, clock: Clock) -> None:
    assert await bench.shard_bus().publish(Outgoing()) == frozenset()
    assert await bench.shard_bus().fence({}) == {}
    assert await bench.shard_bus().absent([]) == []


async def test_nothing_happens_before_the_first_tick(bench: Bench, clock: Clock) -> None:
    with pytest.raises(AssertionError):
        await bench.shard_bus().publish(deltas(0))


# Presence, as a shard sees it


async def test_a_session_is_absent_once_its_presence_ran_out(bench: Bench, clock: Clock) -> None:
    bus, gateway_bus = bench.shard_bus(), bench.gateway_bus()
    await gateway_bus.refresh([ALICE])
    assert await bus.absent([ALICE]) == []

    await wait_ms(SHORT.presence_ms + 20)
    await gateway_bus.refresh([BOB])

    assert await bus.absent([ALICE, BOB]) == [ALICE]
    assert await bus.absent([ALICE, BOB]) == [ALICE]


async def test_an_unknown_session_is_given_time_to_come_back(bench: Bench, clock: Clock) -> None:
    bus = bench.shard_bus()

    assert await bus.absent([ALICE]) == []
    await wait_ms(SHORT.resume_ms + 20)

    assert await bus.absent([ALICE]) == [ALICE]


async def test_a_reprieve_gives_time_and_takes_none(bench: Bench, clock: Clock) -> None:
    bus, gateway_bus = bench.shard_bus(), bench.gateway_bus()
    await gateway_bus.refresh([ALICE, BOB])
    await wait_ms(SHORT.presence_ms + 20)
    await gateway_bus.refresh([BOB])

    await bus.reprieve([ALICE, BOB])

    assert await bus.absent([ALICE, BOB]) == []
    await wait_ms(SHORT.resume_ms + 20)
    assert await bus.absent([ALICE, BOB]) == [ALICE]
