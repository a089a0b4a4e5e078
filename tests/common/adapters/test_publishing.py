from __future__ import annotations

import attrs
import pytest
from trio.abc import Clock

from common.bus import Forward, Outgoing, PublishedDelta
from common.grid import ChunkId, Epoch, Tick
from common.limits import SESSION_LINES_MAX
from tests.common.adapters.bench import (
    ALICE,
    BOB,
    EAST,
    HERE,
    HOLDER,
    OTHER,
    SHORT,
    SLOT,
    THERE,
    WEST,
    Bench,
    a_command,
    a_delta,
    a_question,
    a_refusal,
    a_result,
    an_ack,
    deltas,
    hear,
    noted,
    wait_ms,
)


async def test_an_old_epoch_is_refused_and_unheard(bench: Bench, clock: Clock) -> None:
    gateway_bus = bench.gateway_bus()
    await bench.publish(Outgoing(deltas=[a_delta(5, epoch=2)]))
    async with gateway_bus.inbound(EAST) as inbox:
        await gateway_bus.watch(HERE)
        await gateway_bus.watch(THERE)

        refused = await bench.publish(
            Outgoing(deltas=[a_delta(6, epoch=1), a_delta(6, chunk=THERE, epoch=1)])
        )

        assert refused == frozenset({HERE})
        assert getattr(await hear(inbox), "chunk", None) == THERE
        assert await gateway_bus.deltas_after(HERE, Tick(5)) == []


async def test_the_first_delta_of_a_newer_epoch_shuts_out_the_older(
    bench: Bench, clock: Clock
) -> None:
    await bench.publish(Outgoing(deltas=[a_delta(5, epoch=1)]))

    # Also when it is one that was published before.
    assert await bench.publish(Outgoing(deltas=[a_delta(5, epoch=2)])) == frozenset()

    assert await bench.publish(Outgoing(deltas=[a_delta(6, epoch=1)])) == frozenset({HERE})


async def test_a_fence_shuts_out_older_epochs_and_tells_the_last_tick(
    bench: Bench, clock: Clock
) -> None:
    bus = bench.shard_bus()
    await bench.publish(deltas(5, 6))

    assert await bus.fence({HERE: Epoch(3), THERE: Epoch(3)}) == {HERE: 6}

    late = [a_delta(7, epoch=2), a_delta(7, chunk=THERE, epoch=2)]
    assert await bench.publish(Outgoing(deltas=late)) == frozenset({HERE, THERE})
    assert await bench.publish(Outgoing(deltas=[a_delta(7, epoch=3)])) == frozenset()


async def test_an_old_fence_does_not_let_anybody_back_in(bench: Bench, clock: Clock) -> None:
    bus = bench.shard_bus()
    await bus.fence({HERE: Epoch(3)})

    await bus.fence({HERE: Epoch(2)})

    assert await bench.publish(Outgoing(deltas=[a_delta(1, epoch=2)])) == frozenset({HERE})


async def test_the_last_tick_is_known_when_the_deltas_are_no_longer_kept(
    bench: Bench, clock: Clock
) -> None:
    bus = bench.shard_bus()
    await bench.publish(deltas(5))

    await wait_ms(SHORT.deltas_kept_ms + 20)

    assert await bus.fence({HERE: Epoch(3)}) == {HERE: 5}


async def test_a_tick_is_published_once(bench: Bench, clock: Clock) -> None:
    gateway_bus = bench.gateway_bus()
    async with gateway_bus.inbound(EAST) as inbox:
        await gateway_bus.watch(HERE)

        assert await bench.publish(deltas(5, 6)) == frozenset()
        assert await bench.publish(deltas(5, 6, 7)) == frozenset()

        assert [getattr(await hear(inbox), "tick", None) for _ in range(3)] == [5, 6, 7]
        kept = await gateway_bus.deltas_after(HERE, Tick(4))
        assert [delta.tick for delta in kept or ()] == [5, 6, 7]


async def test_deltas_come_as_they_were_published(bench: Bench, clock: Clock) -> None:
    gateway_bus = bench.gateway_bus()
    data = '{"say": "grüße \\n -1"}'.encode()
    delta = PublishedDelta(ChunkId("-3:-4"), Epoch(1), Tick(2**40), Tick(3), data)
    async with gateway_bus.inbound(EAST) as inbox:
        await gateway_bus.watch(delta.chunk)

        await bench.publish(Outgoing(deltas=[delta]))

        heard = await hear(inbox)
        assert getattr(heard, "data", None) == data
        assert [heard] == await gateway_bus.deltas_after(delta.chunk, Tick(2**40 - 1))


async def test_lines_are_kept_and_sent_to_the_gateway_that_serves_the_session(
    bench: Bench, clock: Clock
) -> None:
    gateway_bus = bench.gateway_bus()
    async with gateway_bus.inbound(EAST) as east, bench.gateway_bus().inbound(WEST) as west:
        await gateway_bus.bind(ALICE, EAST)
        await gateway_bus.bind(BOB, WEST)

        await bench.publish(Outgoing(lines=[an_ack(1), an_ack(1, session=BOB), a_result(2)]))

        assert [await hear(east), await hear(east)] == [an_ack(1), a_result(2)]
        assert await hear(west) == an_ack(1, session=BOB)
    assert await gateway_bus.lines_after(ALICE, 0) == [an_ack(1), a_result(2)]
    assert await gateway_bus.lines_after(ALICE, 1) == [a_result(2)]


async def test_who_does_not_hold_the_slot_publishes_nothing_at_all(
    bench: Bench, clock: Clock
) -> None:
    bus, gateway_bus = bench.shard_bus(), bench.gateway_bus()
    binding = await gateway_bus.bind(ALICE, EAST)
    await gateway_bus.offer([noted("a", binding), noted("b", binding)])
    first, second = await bus.receive(SLOT, "0", 10, 0)
    everything = Outgoing(
        deltas=[a_delta(1)],
        lines=[an_ack(1)],
        refusals=[a_refusal(first)],
        replies=[(EAST, a_result(8))],
        forwards=[Forward(OTHER, a_command("b"), second.position), Forward(OTHER, a_question())],
    )
    async with gateway_bus.inbound(EAST) as inbox:
        await gateway_bus.watch(HERE)
        assert await bus.publish(SLOT, HOLDER, everything) is None
        await bench.leases().acquire(SLOT, "shard-2")
        assert await bus.publish(SLOT, HOLDER, everything) is None

        assert await bus.receive(SLOT, "0", 10, 0) == [first, second]
        assert await bus.receive(OTHER, "0", 10, 0) == []
        assert await gateway_bus.lines_after(ALICE, 0) == []
        assert await bus.publish(SLOT, "shard-2", Outgoing(lines=[an_ack(2)])) == frozenset()
        assert await hear(inbox) == an_ack(2), "the first that is heard"


async def test_a_line_with_an_old_seq_is_passed_over(bench: Bench, clock: Clock) -> None:
    gateway_bus = bench.gateway_bus()
    async with gateway_bus.inbound(EAST) as inbox:
        await gateway_bus.bind(ALICE, EAST)

        await bench.publish(Outgoing(lines=[an_ack(1), a_result(2)]))
        await bench.publish(Outgoing(lines=[a_result(2), an_ack(3)]))

        assert [await hear(inbox) for _ in range(3)] == [an_ack(1), a_result(2), an_ack(3)]
    assert await gateway_bus.lines_after(ALICE, 0) == [an_ack(1), a_result(2), an_ack(3)]


async def test_lines_of_a_session_that_nobody_serves_are_kept(bench: Bench, clock: Clock) -> None:
    await bench.publish(Outgoing(lines=[an_ack(1)]))

    assert await bench.gateway_bus().lines_after(ALICE, 0) == [an_ack(1)]


async def test_only_so_many_lines_are_kept(bench: Bench, clock: Clock) -> None:
    count = SESSION_LINES_MAX + 500

    await bench.publish(Outgoing(lines=[an_ack(seq) for seq in range(1, count + 1)]))

    kept = await bench.gateway_bus().lines_after(ALICE, 0)
    assert kept[-1] == an_ack(count)
    assert SESSION_LINES_MAX <= len(kept) < count


async def test_all_of_a_publication_arrives_in_its_order(bench: Bench, clock: Clock) -> None:
    bus, gateway_bus = bench.shard_bus(), bench.gateway_bus()
    outgoing = Outgoing(
        deltas=[a_delta(1), a_delta(1, chunk=THERE), a_delta(2)],
        lines=[an_ack(1), an_ack(1, session=BOB)],
        replies=[(EAST, a_result(8)), (WEST, a_result(9))],
        forwards=[Forward(OTHER, a_question(HERE)), Forward(OTHER, a_question(THERE))],
    )
    async with gateway_bus.inbound(EAST) as inbox:
        await gateway_bus.watch(HERE)
        await gateway_bus.offer([noted("a", await gateway_bus.bind(ALICE, EAST))])
        refusal = a_refusal(*await bus.receive(SLOT, "0", 10, 0))

        await bench.publish(attrs.evolve(outgoing, refusals=[refusal]))

        heard = [await hear(inbox) for _ in range(5)]
        assert [getattr(delta, "tick", None) for delta in heard[:2]] == [1, 2]
        assert heard[2:] == [an_ack(1), refusal.line, a_result(8)]
    received = await bus.receive(OTHER, "0", 10, 0)
    assert [each.message for each in received] == [a_question(HERE), a_question(THERE)]


async def test_nothing_to_publish_is_no_trouble(bench: Bench, clock: Clock) -> None:
    assert await bench.publish(Outgoing()) == frozenset()
    assert await bench.shard_bus().fence({}) == {}
    assert await bench.shard_bus().absent([]) == []


async def test_nothing_happens_before_the_first_tick(bench: Bench, clock: Clock) -> None:
    with pytest.raises(AssertionError):
        await bench.publish(deltas(0))
