from __future__ import annotations

import pytest
import trio
from trio.abc import Clock

from common.bus import Delta, Inbound, Outgoing, Restored
from common.errors import Unavailable
from common.grid import ChunkId, Tick, chunk_id
from common.limits import INBOUND_MAX
from gateway import ports
from tests.common.adapters.bench import (
    ALICE,
    EAST,
    HERE,
    THERE,
    WEST,
    Bench,
    a_delta,
    a_result,
    an_ack,
    deltas,
    hear,
    wait_ms,
)


def place_of(heard: Inbound) -> tuple[ChunkId, int]:
    assert isinstance(heard, Delta), heard
    return heard.chunk, heard.tick


async def watch_again(bus: ports.Bus, chunk: ChunkId) -> None:
    """As a feed does: a watch that failed is tried again."""
    with trio.fail_after(5):
        while True:
            try:
                return await bus.watch(chunk)
            except Unavailable:
                await trio.sleep(0.05)


async def test_what_is_published_after_watching_arrives(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    async with bus.inbound(EAST) as inbox:
        await bench.publish(deltas(1))
        await bus.watch(HERE)
        await bench.publish(deltas(2))

        assert place_of(await hear(inbox)) == (HERE, 2)


async def test_other_chunks_and_gateways_are_not_heard(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    async with bus.inbound(EAST) as inbox:
        await bus.watch(HERE)

        await bench.publish(
            Outgoing(
                deltas=[a_delta(1, chunk=THERE), a_delta(1)],
                replies=[(WEST, a_result(1)), (EAST, a_result(2))],
            )
        )

        assert place_of(await hear(inbox)) == (HERE, 1)
        assert await hear(inbox) == a_result(2)


async def test_what_is_unwatched_is_no_longer_heard(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    async with bus.inbound(EAST) as inbox:
        await bus.watch(HERE)
        await bus.watch(THERE)
        await bus.unwatch(HERE)
        await bench.publish(Outgoing(deltas=[a_delta(1), a_delta(1, chunk=THERE)]))
        assert place_of(await hear(inbox)) == (THERE, 1)

        await bus.watch(HERE)
        await bench.publish(deltas(2))
        assert place_of(await hear(inbox)) == (HERE, 2)


async def test_many_may_be_watched_at_once(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    chunks = [chunk_id(cx, 0) for cx in range(100)]
    async with bus.inbound(EAST) as inbox:
        async with trio.open_nursery() as nursery:
            for chunk in chunks:
                nursery.start_soon(bus.watch, chunk)
                nursery.start_soon(bus.watch, THERE)

        await bench.publish(
            Outgoing(deltas=[a_delta(1, chunk=chunk) for chunk in [*chunks, THERE]])
        )

        heard = [place_of(await hear(inbox)) for _ in range(101)]
        assert heard == [(chunk, 1) for chunk in [*chunks, THERE]]


async def test_a_cancelled_watch_disturbs_nobody(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    async with bus.inbound(EAST) as inbox:
        with trio.CancelScope() as scope:
            scope.cancel()
            await bus.watch(THERE)
        with trio.move_on_after(0.0002):
            await bus.watch(THERE)

        await watch_again(bus, HERE)
        await bench.publish(deltas(1))

        while isinstance(heard := await hear(inbox), Restored):
            pass
        assert place_of(heard) == (HERE, 1)


async def test_a_lost_subscription_comes_back_whole_and_says_so(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    async with bus.inbound(EAST) as inbox:
        await bus.bind(ALICE, EAST)
        await bus.watch(HERE)
        await bus.watch(THERE)
        await bus.unwatch(THERE)

        for tick in (1, 3):
            await bench.publish(deltas(tick))
            assert place_of(await hear(inbox)) == (HERE, tick)
            await bench.cut()
            assert isinstance(await hear(inbox), Restored)

            outgoing = Outgoing(
                deltas=[a_delta(tick + 1, chunk=THERE), a_delta(tick + 1)], lines=[an_ack(tick)]
            )
            await bench.publish(outgoing)
            assert place_of(await hear(inbox)) == (HERE, tick + 1)
            assert await hear(inbox) == an_ack(tick)


async def test_one_can_watch_again_once_it_is_back(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    async with bus.inbound(EAST) as inbox:
        await bench.cut()

        await watch_again(bus, HERE)
        if isinstance(await hear(inbox), Restored):
            await watch_again(bus, HERE)
        await bench.publish(deltas(1))

        assert place_of(await hear(inbox)) == (HERE, 1)


async def test_who_does_not_listen_loses_the_subscription_and_hears_of_it(
    bench: Bench, clock: Clock
) -> None:
    bus = bench.gateway_bus()
    async with bus.inbound(EAST) as inbox:
        await bus.watch(HERE)
        last = 2 * INBOUND_MAX
        await bench.publish(deltas(*range(1, last)))
        await wait_ms(300)

        ticks = []
        while not isinstance(heard := await hear(inbox), Restored):
            ticks.append(place_of(heard)[1])

        assert ticks == list(range(1, len(ticks) + 1))
        assert INBOUND_MAX <= len(ticks) < last - 1
        await bench.publish(deltas(last))
        assert place_of(await hear(inbox)) == (HERE, last)


async def test_after_a_restoration_the_missed_can_be_had(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    async with bus.inbound(EAST) as inbox:
        await bus.watch(HERE)
        await bench.publish(deltas(1))
        await hear(inbox)

        await bench.cut()
        await bench.publish(deltas(2))
        assert isinstance(await hear(inbox), Restored)

        missed = await bus.deltas_after(HERE, Tick(1))
        assert [delta.tick for delta in missed or ()] == [2]


async def test_what_the_block_raises_leaves_it_as_it_was(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    with pytest.raises(LookupError):
        async with bus.inbound(EAST):
            raise LookupError

    async with bus.inbound(EAST) as inbox:
        await bench.publish(Outgoing(replies=[(EAST, a_result(1))]))
        assert await hear(inbox) == a_result(1)


async def test_a_cancelled_block_ends_at_once(bench: Bench, clock: Clock) -> None:
    with trio.move_on_after(0.05) as scope:
        async with bench.gateway_bus().inbound(EAST) as inbox:
            await inbox.receive()

    assert scope.cancelled_caught


async def test_who_watches_when_nobody_listens_any_more_is_told_so(
    bench: Bench, clock: Clock
) -> None:
    """A feed may begin in the moment in which its gateway ends."""
    bus = bench.gateway_bus()
    async with bus.inbound(EAST):
        pass
    with pytest.raises(Unavailable):
        await bus.watch(HERE)
    await bus.unwatch(HERE)
