from __future__ import annotations

import pytest
from trio.abc import Clock

from common.bus import Binding, Outgoing, Verdict
from common.envelopes import Replaced, SessionEnded
from tests.common.adapters.bench import (
    ALICE,
    BOB,
    EAST,
    SHORT,
    WEST,
    Bench,
    an_ack,
    hear,
    noted,
    wait_ms,
)


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
        await bench.publish(Outgoing(lines=[an_ack(1)]))
        assert await hear(west) == an_ack(1)


async def test_a_bound_session_is_present_for_as_long_as_it_is_refreshed(
    bench: Bench, clock: Clock
) -> None:
    bus = bench.gateway_bus()
    bound = await bus.bind(ALICE, EAST)

    for _ in range(3):
        await wait_ms(SHORT.presence_ms * 0.5)
        await bus.refresh(EAST, [(ALICE, bound.connection)])
        assert await bus.is_present(ALICE)

    await wait_ms(SHORT.presence_ms + 20)
    assert not await bus.is_present(ALICE)


async def test_a_beat_makes_a_lost_binding_anew_under_its_old_number(
    bench: Bench, clock: Clock
) -> None:
    bus = bench.gateway_bus()
    async with bus.inbound(EAST) as inbox:
        alice, bob = [(await bus.bind(each, EAST)).connection for each in (ALICE, BOB)]
        assert await bus.refresh(EAST, [(ALICE, alice), (BOB, bob)]) == []
        await bench.forget()
        await bus.bind(BOB, EAST)
        await bench.publish(Outgoing(lines=[an_ack(1)]))  # Nobody hears it.

        assert await bus.refresh(EAST, [(ALICE, alice)]) == [ALICE]
        assert await bus.refresh(EAST, [(ALICE, alice)]) == []

        await bench.publish(Outgoing(lines=[an_ack(2)]))
        assert await hear(inbox) == an_ack(2)
        stale = [noted("a", Binding(number)) for number in (alice - 1, alice, alice + 1)]
        verdicts = await bus.offer(stale)
        assert verdicts == [Verdict(stale=True), Verdict(), Verdict(stale=True)]
        assert (await bus.bind(ALICE, EAST)).connection > alice


async def test_a_beat_takes_a_binding_from_no_later_connection_and_is_told_of_it(
    bench: Bench, clock: Clock
) -> None:
    bus, other = bench.gateway_bus(), bench.gateway_bus()
    async with bus.inbound(EAST) as east, other.inbound(WEST) as west:
        old = await bus.bind(ALICE, EAST)
        await wait_ms(20)
        await bench.forget()
        new = await other.bind(ALICE, WEST)  # EAST is not told: nobody knows of it any more.

        assert await bus.refresh(EAST, [(ALICE, old.connection)]) == []

        assert await hear(east) == Replaced(ALICE, old.connection)
        await bench.publish(Outgoing(lines=[an_ack(1)]))
        assert await hear(west) == an_ack(1)
        assert await bus.offer([noted("a", old)]) == [Verdict(stale=True)]
        assert await other.offer([noted("a", new)]) == [Verdict()]


async def test_a_later_connection_has_its_binding_back_from_an_earlier_one(
    bench: Bench, clock: Clock
) -> None:
    bus, other = bench.gateway_bus(), bench.gateway_bus()
    async with bus.inbound(EAST) as east, other.inbound(WEST) as west:
        old = await bus.bind(ALICE, EAST)
        await wait_ms(20)
        await bench.forget()
        new = await other.bind(ALICE, WEST)
        await bench.forget()
        assert await bus.refresh(EAST, [(ALICE, old.connection)]) == [ALICE]

        assert await other.refresh(WEST, [(ALICE, new.connection)]) == [ALICE]

        assert await hear(east) == Replaced(ALICE, old.connection)
        await bench.publish(Outgoing(lines=[an_ack(1)]))
        assert await hear(west) == an_ack(1)
        assert await bus.offer([noted("a", old)]) == [Verdict(stale=True)]


async def test_numbers_do_not_go_back_when_an_earlier_connection_made_its_binding_anew(
    bench: Bench, clock: Clock
) -> None:
    bus = bench.gateway_bus()
    old = await bus.bind(ALICE, EAST)
    await wait_ms(20)
    await bench.forget()
    new = await bus.bind(ALICE, WEST)
    await bench.forget()
    await bus.refresh(EAST, [(ALICE, old.connection)])
    await wait_ms(20)

    assert (await bus.bind(ALICE, EAST)).connection > new.connection


async def test_a_beat_that_comes_after_the_connection_was_lost_binds_nothing(
    bench: Bench, clock: Clock
) -> None:
    bus = bench.gateway_bus()
    async with bus.inbound(EAST) as inbox:
        bound = await bus.bind(ALICE, EAST)
        await bus.release(ALICE, bound.connection)

        assert await bus.refresh(EAST, [(ALICE, bound.connection)]) == []

        await bench.publish(Outgoing(lines=[an_ack(1)]))
        await bus.bind(BOB, EAST)
        await bus.end(BOB, replaced=False)
        assert await hear(inbox) == SessionEnded(BOB)


async def test_a_session_that_redis_does_not_know_may_be_there(bench: Bench, clock: Clock) -> None:
    assert await bench.gateway_bus().is_present(ALICE)


async def test_the_lines_of_a_session_that_ended_are_kept_but_not_sent(
    bench: Bench, clock: Clock
) -> None:
    bus = bench.gateway_bus()
    async with bus.inbound(EAST) as inbox:
        await bus.bind(ALICE, EAST)
        await bus.bind(BOB, EAST)
        await bus.end(ALICE, replaced=False)
        await bench.publish(Outgoing(lines=[an_ack(1)]))
        await bus.end(BOB, replaced=False)

        assert await hear(inbox) == SessionEnded(ALICE)
        assert await hear(inbox) == SessionEnded(BOB)
        assert await bus.lines_after(ALICE, 0) == [an_ack(1)]


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
