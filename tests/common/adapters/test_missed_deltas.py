from __future__ import annotations

from trio.abc import Clock

from common.adapters.durations import Durations
from common.bus import Outgoing
from common.grid import Epoch, Tick
from common.limits import (
    DELTAS_KEPT_TICKS,
)
from tests.common.adapters.bench import (
    HERE,
    SHORT,
    THERE,
    Bench,
    a_delta,
    deltas,
    wait_ms,
)


async def test_missed_deltas_are_all_returned_in_order(bench: Bench, clock: Clock) -> None:
    await bench.publish(deltas(1, 2, 3))

    missed = await bench.gateway_bus().deltas_after(HERE, Tick(1))

    assert [delta.tick for delta in missed or ()] == [2, 3]


async def test_quiet_ticks_are_no_gap(bench: Bench, clock: Clock) -> None:
    sparse = [a_delta(3, prev_tick=0), a_delta(9, prev_tick=3)]
    await bench.publish(Outgoing(deltas=sparse))
    bus = bench.gateway_bus()

    assert [delta.tick for delta in await bus.deltas_after(HERE, Tick(3)) or ()] == [9]
    assert [delta.tick for delta in await bus.deltas_after(HERE, Tick(2)) or ()] == [3, 9]


async def test_nothing_missed_is_told_from_nothing_known(bench: Bench, clock: Clock) -> None:
    await bench.publish(deltas(1, 2))
    bus = bench.gateway_bus()
    assert await bus.deltas_after(HERE, Tick(2)) == []

    await bench.forget()

    assert await bus.deltas_after(HERE, Tick(2)) is None


async def test_a_gap_before_the_oldest_kept_delta_is_told(bench: Bench, clock: Clock) -> None:
    await bench.publish(Outgoing(deltas=[a_delta(9, prev_tick=5)]))
    bus = bench.gateway_bus()

    assert await bus.deltas_after(HERE, Tick(4)) is None
    assert [delta.tick for delta in await bus.deltas_after(HERE, Tick(5)) or ()] == [9]


async def test_a_gap_between_kept_deltas_is_told(bench: Bench, clock: Clock) -> None:
    """A Redis that crashed may have lost its last second, and then have heard of the next."""
    await bench.publish(Outgoing(deltas=[a_delta(5), a_delta(9, prev_tick=8)]))

    assert await bench.gateway_bus().deltas_after(HERE, Tick(5)) is None


async def test_a_redis_that_is_behind_the_replica_has_lost_something(
    bench: Bench, clock: Clock
) -> None:
    await bench.publish(deltas(5))

    assert await bench.gateway_bus().deltas_after(HERE, Tick(6)) is None


async def test_a_fence_alone_says_nothing_about_deltas(bench: Bench, clock: Clock) -> None:
    await bench.shard_bus().fence({HERE: Epoch(4)})

    assert await bench.gateway_bus().deltas_after(HERE, Tick(6)) is None


async def test_deltas_are_kept_for_so_long_only(bench: Bench, clock: Clock) -> None:
    await bench.publish(deltas(1, 2))

    await wait_ms(SHORT.deltas_kept_ms + 20)

    bus = bench.gateway_bus()
    assert await bus.deltas_after(HERE, Tick(1)) is None
    # Who has seen the last one has missed nothing, however long ago that was.
    assert await bus.deltas_after(HERE, Tick(2)) == []


async def test_as_many_ticks_of_deltas_are_kept_as_promised(bench: Bench, clock: Clock) -> None:
    bench.durations = Durations()  # A busy machine takes longer for so many than SHORT keeps them.
    last = DELTAS_KEPT_TICKS * 3
    await bench.publish(deltas(*range(1, last + 1)))
    bus = bench.gateway_bus()

    kept = await bus.deltas_after(HERE, Tick(last - DELTAS_KEPT_TICKS))

    assert kept is not None
    assert len(kept) == DELTAS_KEPT_TICKS
    assert await bus.deltas_after(HERE, Tick(1)) is None


async def test_no_stream_goes_on_over_the_end_of_a_generation(bench: Bench, clock: Clock) -> None:
    gateway_bus, bus = bench.gateway_bus(), bench.shard_bus()
    await bench.publish(deltas(4, 5))
    assert await gateway_bus.deltas_after(HERE, Tick(5)) == []

    await bus.conclude({HERE: Tick(90), THERE: Tick(80)})

    assert await gateway_bus.deltas_after(HERE, Tick(5)) is None
    assert await gateway_bus.deltas_after(HERE, Tick(90)) == []
    assert await gateway_bus.deltas_after(THERE, Tick(80)) == []
    await bus.conclude({HERE: Tick(70)})
    assert await bus.fence({HERE: Epoch(1), THERE: Epoch(1)}) == {HERE: 90, THERE: 80}


async def test_a_new_generation_is_published_by_the_same_rules(bench: Bench, clock: Clock) -> None:
    gateway_bus, bus = bench.gateway_bus(), bench.shard_bus()
    await bus.fence({HERE: Epoch(3)})
    await bus.conclude({HERE: Tick(90)})
    assert await bench.publish(Outgoing(deltas=[a_delta(95, epoch=2)])) == frozenset({HERE})

    assert await bench.publish(Outgoing(deltas=[a_delta(91, prev_tick=90, epoch=4)])) == frozenset()

    after = await gateway_bus.deltas_after(HERE, Tick(90))
    assert [delta.tick for delta in after or ()] == [91]
