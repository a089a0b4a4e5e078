from __future__ import annotations

import pytest
from trio.abc import Clock

from common.bus import GatewayBeat, Offer, Outgoing, SlotBeat, Take, Verdict, WorldCounts
from common.envelopes import Replaced, SessionEnded
from common.grid import AgentId, Epoch, Slot, Tick
from common.limits import (
    DELTAS_KEPT_TICKS,
    EXPIRED_ANSWERS_MAX,
    INVALID_ANSWERS_MAX,
    SLOT_STREAM_MAX,
)
from gateway import ports
from tests.common.adapters.bench import (
    ALICE,
    BOB,
    EAST,
    HERE,
    SHORT,
    SLOT,
    WEST,
    Bench,
    a_command,
    a_delta,
    an_ack,
    deltas,
    hear,
    ids,
    offers,
    wait_ms,
)

AGENT = AgentId("agt_1")


def a_take(subject: str = "ses_1", *, per_second: float = 10, burst: int = 2) -> Take:
    return Take("command", subject, per_second, burst)


def taking(*takes: Take, id: str = "c-1") -> Offer:
    return Offer(takes=takes, slot=SLOT, message=a_command(id))


async def received(bench: Bench) -> list[str]:
    return ids(each.message for each in await bench.shard_bus().receive(SLOT, "0", 30_000, 0))


# Offering


async def test_offers_are_carried_out_in_order(bench: Bench, clock: Clock) -> None:
    verdicts = await bench.gateway_bus().offer(offers("a", "b", "c"))

    assert verdicts == [Verdict()] * 3
    assert await received(bench) == ["a", "b", "c"]


async def test_no_offers_have_no_verdicts(bench: Bench, clock: Clock) -> None:
    assert await bench.gateway_bus().offer([]) == []


async def test_an_empty_bucket_refuses_and_says_when_to_come_back(
    bench: Bench, clock: Clock
) -> None:
    bus = bench.gateway_bus()
    batch = [taking(a_take(), id=id) for id in ("a", "b", "c")]

    first, second, third = await bus.offer(batch)

    assert (first, second) == (Verdict(), Verdict())
    assert 90 <= third.retry_after_ms <= 100
    assert await received(bench) == ["a", "b"]


async def test_who_waits_as_told_gets_through_once(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    take = a_take(per_second=5, burst=1)
    (_, refused) = await bus.offer([taking(take), taking(take)])

    await wait_ms(refused.retry_after_ms)

    (let_through, again) = await bus.offer([taking(take), taking(take)])
    assert let_through == Verdict()
    assert again.retry_after_ms > 0


async def test_a_bucket_never_holds_more_than_its_burst(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    take = a_take(per_second=20, burst=2)
    await bus.offer([taking(take)])

    await wait_ms(400)

    verdicts = await bus.offer([taking(take)] * 3)
    assert [verdict.retry_after_ms > 0 for verdict in verdicts] == [False, False, True]


async def test_buckets_are_told_apart_by_kind_and_subject(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    takes = [
        Take("signup", "a", 1, 1),
        Take("signup", "b", 1, 1),
        Take("session", "a", 1, 1),
        Take("signup", "a", 1, 1),
    ]

    verdicts = await bus.offer([Offer(takes=(take,)) for take in takes])

    assert [verdict.retry_after_ms > 0 for verdict in verdicts] == [False, False, False, True]


async def test_an_offer_takes_all_or_nothing(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    plenty = a_take("plenty", per_second=0.01, burst=2)
    scarce = a_take("scarce", per_second=0.01, burst=1)
    await bus.offer([taking(scarce, id="a")])

    (refused,) = await bus.offer([taking(plenty, scarce, id="b")])
    left = await bus.offer([taking(plenty, id=id) for id in "cde"])

    assert refused.retry_after_ms > 0
    assert [verdict.retry_after_ms > 0 for verdict in left] == [False, False, True]
    assert await received(bench) == ["a", "c", "d"]


async def test_a_bucket_may_be_taken_from_twice_in_one_offer(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    take = a_take(per_second=0.01, burst=3)

    verdicts = await bus.offer([taking(take, take), taking(take, take), taking(take)])

    assert [verdict.retry_after_ms > 0 for verdict in verdicts] == [False, True, False]


async def test_the_longest_wait_is_said(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    slow, fast = a_take("slow", per_second=1, burst=1), a_take("fast", per_second=10, burst=1)

    verdicts = await bus.offer([taking(slow, fast), taking(fast, slow), taking(slow, fast)])

    assert all(900 <= verdict.retry_after_ms <= 1_000 for verdict in verdicts[1:])


async def test_who_comes_back_too_early_has_the_rest_to_wait(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    take = a_take(per_second=0.5, burst=1)
    await bus.offer([taking(take)])

    await wait_ms(50)

    (refused,) = await bus.offer([taking(take)])
    assert 1_000 < refused.retry_after_ms <= 1_950


async def test_a_smaller_burst_counts_at_once(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    await bus.offer([taking(a_take(per_second=0.01, burst=10))])

    verdicts = await bus.offer([taking(a_take(per_second=0.01, burst=1))] * 2)

    assert [verdict.retry_after_ms > 0 for verdict in verdicts] == [False, True]


async def test_a_full_stream_takes_nothing(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    await bus.offer([Offer(slot=SLOT, message=a_command())] * (SLOT_STREAM_MAX - 1))
    take = a_take(per_second=0.01, burst=2)

    fits, does_not, elsewhere = await bus.offer(
        [taking(take), taking(take), Offer((take,), Slot(2), a_command())]
    )

    assert fits == Verdict()
    assert does_not == Verdict(full=True)
    assert elsewhere == Verdict()
    assert len(await received(bench)) == SLOT_STREAM_MAX


async def test_forwards_go_even_into_a_full_stream(bench: Bench, clock: Clock) -> None:
    await bench.gateway_bus().offer([Offer(slot=SLOT, message=a_command())] * SLOT_STREAM_MAX)

    await bench.shard_bus().publish(Outgoing(forwards=[(SLOT, a_command("last"))]))

    assert (await received(bench))[-1] == "last"


# Deltas that were missed


async def test_missed_deltas_are_all_returned_in_order(bench: Bench, clock: Clock) -> None:
    await bench.shard_bus().publish(deltas(1, 2, 3))

    missed = await bench.gateway_bus().deltas_after(HERE, Tick(1))

    assert [delta.tick for delta in missed or ()] == [2, 3]


async def test_quiet_ticks_are_no_gap(bench: Bench, clock: Clock) -> None:
    sparse = [a_delta(3, prev_tick=0), a_delta(9, prev_tick=3)]
    await bench.shard_bus().publish(Outgoing(deltas=sparse))
    bus = bench.gateway_bus()

    assert [delta.tick for delta in await bus.deltas_after(HERE, Tick(3)) or ()] == [9]
    assert [delta.tick for delta in await bus.deltas_after(HERE, Tick(2)) or ()] == [3, 9]


async def test_nothing_missed_is_told_from_nothing_known(bench: Bench, clock: Clock) -> None:
    await bench.shard_bus().publish(deltas(1, 2))
    bus = bench.gateway_bus()
    assert await bus.deltas_after(HERE, Tick(2)) == []

    await bench.forget()

    assert await bus.deltas_after(HERE, Tick(2)) is None


async def test_a_gap_before_the_oldest_kept_delta_is_told(bench: Bench, clock: Clock) -> None:
    await bench.shard_bus().publish(Outgoing(deltas=[a_delta(9, prev_tick=5)]))
    bus = bench.gateway_bus()

    assert await bus.deltas_after(HERE, Tick(4)) is None
    assert [delta.tick for delta in await bus.deltas_after(HERE, Tick(5)) or ()] == [9]


async def test_a_gap_between_kept_deltas_is_told(bench: Bench, clock: Clock) -> None:
    """A Redis that crashed may have lost its last second, and then have heard of the next."""
    await bench.shard_bus().publish(Outgoing(deltas=[a_delta(5), a_delta(9, prev_tick=8)]))

    assert await bench.gateway_bus().deltas_after(HERE, Tick(5)) is None


async def test_a_redis_that_is_behind_the_replica_has_lost_something(
    bench: Bench, clock: Clock
) -> None:
    await bench.shard_bus().publish(deltas(5))

    assert await bench.gateway_bus().deltas_after(HERE, Tick(6)) is None


async def test_a_fence_alone_says_nothing_about_deltas(bench: Bench, clock: Clock) -> None:
    await bench.shard_bus().fence({HERE: Epoch(4)})

    assert await bench.gateway_bus().deltas_after(HERE, Tick(6)) is None


async def test_deltas_are_kept_for_so_long_only(bench: Bench, clock: Clock) -> None:
    await bench.shard_bus().publish(deltas(1, 2))

    await wait_ms(SHORT.deltas_kept_ms + 20)

    bus = bench.gateway_bus()
    assert await bus.deltas_after(HERE, Tick(1)) is None
    # Who has seen the last one has missed nothing, however long ago that was.
    assert await bus.deltas_after(HERE, Tick(2)) == []


async def test_as_many_ticks_of_deltas_are_kept_as_promised(bench: Bench, clock: Clock) -> None:
    last = DELTAS_KEPT_TICKS * 3
    await bench.shard_bus().publish(deltas(*range(1, last + 1)))
    bus = bench.gateway_bus()

    kept = await bus.deltas_after(HERE, Tick(last - DELTAS_KEPT_TICKS))

    assert kept is not None
    assert len(kept) == DELTAS_KEPT_TICKS
    assert await bus.deltas_after(HERE, Tick(1)) is None


# Sessions


async def test_each_connection_has_a_higher_number(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    first = await bus.bind(ALICE, EAST)

    second = await bus.bind(ALICE, EAST)
    await wait_ms(50)
    await bench.forget()
    third = await bus.bind(ALICE, EAST)

    assert first.connection < second.connection < third.connection


async def test_the_gateway_of_the_old_connection_hears_that_it_was_replaced(
    bench: Bench, clock: Clock
) -> None:
    bus = bench.gateway_bus()
    async with bus.inbound(EAST) as east, bench.gateway_bus().inbound(WEST) as west:
        first = await bus.bind(ALICE, EAST)
        second = await bus.bind(ALICE, WEST)
        await bus.bind(ALICE, WEST)

        assert await hear(east) == Replaced(ALICE, first.connection)
        assert await hear(west) == Replaced(ALICE, second.connection)


async def test_a_connection_that_was_lost_is_not_replaced(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    async with bus.inbound(EAST) as inbox:
        first = await bus.bind(ALICE, EAST)
        await bus.release(ALICE, first.connection)

        second = await bus.bind(ALICE, EAST)
        await bus.end(ALICE, replaced=False)

        assert second.connection > first.connection
        assert await hear(inbox) == SessionEnded(ALICE)


async def test_a_released_session_runs_out(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    bound = await bus.bind(ALICE, EAST)
    await bus.release(ALICE, bound.connection)
    assert await bus.is_present(ALICE)

    await wait_ms(SHORT.resume_ms + 20)

    assert not await bus.is_present(ALICE)


async def test_a_connection_that_was_replaced_releases_nothing(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    old = await bus.bind(ALICE, EAST)
    async with bench.gateway_bus().inbound(WEST) as west:
        await bus.bind(ALICE, WEST)

        await bus.release(ALICE, old.connection)
        await wait_ms(SHORT.resume_ms + 20)

        assert await bus.is_present(ALICE)
        await bench.shard_bus().publish(Outgoing(lines=[an_ack(1)]))
        assert await hear(west) == an_ack(1)


async def test_a_bound_session_is_present_for_as_long_as_it_is_refreshed(
    bench: Bench, clock: Clock
) -> None:
    bus = bench.gateway_bus()
    await bus.bind(ALICE, EAST)

    for _ in range(3):
        await wait_ms(SHORT.presence_ms * 0.5)
        await bus.refresh([ALICE])
        assert await bus.is_present(ALICE)

    await wait_ms(SHORT.presence_ms + 20)
    assert not await bus.is_present(ALICE)


async def test_a_session_that_redis_does_not_know_may_be_there(bench: Bench, clock: Clock) -> None:
    assert await bench.gateway_bus().is_present(ALICE)


@pytest.mark.parametrize("replaced", [True, False])
async def test_the_gateway_hears_that_a_session_ended(
    bench: Bench, clock: Clock, replaced: bool
) -> None:
    bus = bench.gateway_bus()
    async with bus.inbound(EAST) as inbox:
        await bus.bind(ALICE, EAST)

        await bus.end(ALICE, replaced)
        await bus.end(ALICE, replaced)
        await bus.bind(BOB, EAST)
        await bus.end(BOB, replaced)

        assert await hear(inbox) == SessionEnded(ALICE, replaced)
        assert await hear(inbox) == SessionEnded(BOB, replaced)
    assert not await bus.is_present(ALICE)


# Bad answers


async def strike(bus: ports.Bus, count: int) -> list[bool]:
    return [await bus.strike(AGENT, "invalid") for _ in range(count)]


async def test_the_last_strike_starts_a_cooldown(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    assert await strike(bus, INVALID_ANSWERS_MAX) == [False] * (INVALID_ANSWERS_MAX - 1) + [True]

    assert 0 < await bus.cooldown_ms(AGENT) <= SHORT.cooldown_ms
    assert await bus.cooldown_ms(AgentId("agt_2")) == 0

    await wait_ms(SHORT.cooldown_ms + 20)
    assert await bus.cooldown_ms(AGENT) == 0


async def test_after_a_cooldown_counting_begins_anew(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    await strike(bus, INVALID_ANSWERS_MAX)

    assert await strike(bus, INVALID_ANSWERS_MAX) == [False] * (INVALID_ANSWERS_MAX - 1) + [True]


async def test_invalid_and_expired_answers_are_counted_apart(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    await strike(bus, INVALID_ANSWERS_MAX - 1)

    expired = [await bus.strike(AGENT, "expired") for _ in range(EXPIRED_ANSWERS_MAX)]

    assert expired == [False] * (EXPIRED_ANSWERS_MAX - 1) + [True]


async def test_strikes_are_counted_over_a_window_that_slides(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    pause = SHORT.strike_window_ms * 0.6
    assert await strike(bus, 1) == [False]
    await wait_ms(pause)
    assert await strike(bus, INVALID_ANSWERS_MAX - 2) == [False]
    await wait_ms(pause)  # The first is forgotten by now, the second is not.

    assert await strike(bus, 2) == [False, True]


async def test_an_accepted_command_resets_both_counters(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    await strike(bus, INVALID_ANSWERS_MAX - 1)
    for _ in range(EXPIRED_ANSWERS_MAX - 1):
        await bus.strike(AGENT, "expired")

    await bus.forgive(AGENT)

    assert await strike(bus, 1) == [False]
    assert not await bus.strike(AGENT, "expired")


# The world in numbers


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
