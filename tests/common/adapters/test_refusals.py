"""Offers of commands until they are decided on: in one stream at the most, and refused once."""

from __future__ import annotations

import pytest
from trio.abc import Clock

from common.bus import Binding, Forward, Offer, Outgoing, Received, Verdict
from common.grid import Slot
from common.limits import OFFER_FORGOTTEN_MS, OFFERS_PRUNED, SLOT_STREAM_MAX
from tests.common.adapters.bench import (
    ALICE,
    EAST,
    OTHER,
    SLOT,
    SOON_MS,
    WEST,
    Bench,
    a_command,
    a_question,
    a_refusal,
    an_ack,
    hear,
    ids,
    noted,
)


async def streamed(bench: Bench, slot: Slot = SLOT) -> list[Received]:
    return list(await bench.shard_bus().receive(slot, "0", 30_000, 0))


async def bound(bench: Bench) -> Binding:
    return await bench.gateway_bus().bind(ALICE, EAST)


async def test_an_offer_that_is_repeated_is_made_once(bench: Bench, clock: Clock) -> None:
    offer = noted("a", await bound(bench))

    verdicts = await bench.gateway_bus().offer([offer, offer])
    verdicts = [*verdicts, *await bench.gateway_bus().offer([offer])]

    assert verdicts == [Verdict()] * 3
    assert len(await streamed(bench)) == 1


async def test_a_full_stream_does_not_refuse_what_is_under_way(bench: Bench, clock: Clock) -> None:
    offer = noted("a", await bound(bench))
    await bench.gateway_bus().offer([offer])
    await bench.gateway_bus().offer([Offer(slot=SLOT, message=a_question())] * SLOT_STREAM_MAX)

    assert await bench.gateway_bus().offer([offer]) == [Verdict()]


async def test_only_the_last_connection_offers_and_it_knows_what_is_under_way(
    bench: Bench, clock: Clock
) -> None:
    bus = bench.gateway_bus()
    old = await bus.bind(ALICE, EAST)
    assert old.under_way == {}
    await bus.offer([noted("a", old, SOON_MS), noted("b", old, SOON_MS + 1)])

    new = await bus.bind(ALICE, WEST)

    assert new.under_way == {"a": SOON_MS, "b": SOON_MS + 1}
    late, repeated, fresh = await bus.offer([noted("c", old), noted("a", old), noted("d", new)])
    assert (late, repeated, fresh) == (Verdict(stale=True), Verdict(stale=True), Verdict())
    assert ids(each.message for each in await streamed(bench)) == ["a", "b", "d"]


async def test_a_session_that_redis_knows_nothing_of_offers_all_the_same(
    bench: Bench, clock: Clock
) -> None:
    binding = await bound(bench)
    await bench.forget()

    assert await bench.gateway_bus().offer([noted("a", binding)]) == [Verdict()]

    assert len(await streamed(bench)) == 1
    assert (await bound(bench)).under_way == {}


async def test_what_was_accepted_is_no_longer_under_way(bench: Bench, clock: Clock) -> None:
    await bench.gateway_bus().offer([noted("c-1", await bound(bench))])

    await bench.publish(Outgoing(lines=[an_ack(1)]))

    assert (await bound(bench)).under_way == {}


async def test_a_refusal_is_told_once_and_what_it_is_about_is_gone(
    bench: Bench, clock: Clock
) -> None:
    bus, binding = bench.gateway_bus(), await bound(bench)
    offers = [noted(id, binding) for id in ("a", "b")]
    await bus.offer(offers)
    refused, other = await streamed(bench)
    outgoing = Outgoing(refusals=[a_refusal(refused)])
    async with bus.inbound(EAST) as inbox:
        await bench.publish(outgoing)
        await bench.publish(outgoing)  # Its answer was lost.
        await bus.offer([offers[0]])  # So was this one's, some time ago.
        await bench.publish(Outgoing(lines=[an_ack(1, id="b")]))

        assert [await hear(inbox), await hear(inbox)] == [
            a_refusal(refused).line,
            an_ack(1, id="b"),
        ]
    assert await streamed(bench) == [other]
    assert (await bound(bench)).under_way == {}


async def test_a_refused_id_may_be_offered_anew(bench: Bench, clock: Clock) -> None:
    bus, binding = bench.gateway_bus(), await bound(bench)
    await bus.offer([noted("a", binding)])
    (refused,) = await streamed(bench)
    await bench.publish(Outgoing(refusals=[a_refusal(refused)]))

    await bus.offer([noted("a", binding, SOON_MS + 1)])

    (fresh,) = await streamed(bench)
    async with bus.inbound(EAST) as inbox:
        await bench.publish(Outgoing(refusals=[a_refusal(refused), a_refusal(fresh)]))
        assert await hear(inbox) == a_refusal(fresh).line
    await bus.offer([noted("a", binding)])  # Of the first use, and late.
    assert await streamed(bench) == []


async def test_what_was_accepted_before_is_not_refused(bench: Bench, clock: Clock) -> None:
    """The shard died with the offer still in its stream; who comes next can't find its agent."""
    bus = bench.gateway_bus()
    await bus.offer([noted("c-1", await bound(bench))])
    (again,) = await streamed(bench)
    async with bus.inbound(EAST) as inbox:
        await bench.publish(Outgoing(lines=[an_ack(1)]))
        await bench.publish(Outgoing(refusals=[a_refusal(again)]))
        await bench.publish(Outgoing(lines=[an_ack(2)]))

        assert [await hear(inbox), await hear(inbox)] == [an_ack(1), an_ack(2)]


async def test_what_is_given_up_is_not_told_and_may_be_offered_again(
    bench: Bench, clock: Clock
) -> None:
    bus, binding = bench.gateway_bus(), await bound(bench)
    await bus.offer([noted("a", binding)])
    (given_up,) = await streamed(bench)
    async with bus.inbound(EAST) as inbox:
        await bench.publish(Outgoing(refusals=[a_refusal(given_up, is_told=False)]))
        await bus.offer([noted("a", binding)])
        await bench.publish(Outgoing(lines=[an_ack(1, id="b")]))

        assert await hear(inbox) == an_ack(1, id="b")
    (again,) = await streamed(bench)
    assert (again.message, again.position) != (None, given_up.position)


async def test_a_message_is_forwarded_once(bench: Bench, clock: Clock) -> None:
    await bench.gateway_bus().offer([noted("a", await bound(bench))])
    (received,) = await streamed(bench)
    moved = Outgoing(forwards=[Forward(OTHER, a_command("a"), received.position)])

    await bench.publish(moved)
    await bench.publish(moved)  # Its answer was lost.

    assert await streamed(bench) == []
    assert ids(each.message for each in await streamed(bench, OTHER)) == ["a"]


async def test_what_was_forwarded_is_not_refused_where_it_was(bench: Bench, clock: Clock) -> None:
    bus = bench.gateway_bus()
    await bus.offer([noted("a", await bound(bench))])
    (received,) = await streamed(bench)
    async with bus.inbound(EAST) as inbox:
        await bench.publish(Outgoing(forwards=[Forward(OTHER, a_command("a"), received.position)]))
        await bench.publish(Outgoing(refusals=[a_refusal(received)]))
        await bench.publish(Outgoing(lines=[an_ack(1, id="b")]))

        assert await hear(inbox) == an_ack(1, id="b")


@pytest.mark.parametrize("pause_ms", [0, OFFER_FORGOTTEN_MS])
async def test_refused_offers_are_not_remembered_for_ever(
    bench: Bench, clock: Clock, pause_ms: int
) -> None:
    """As long as one may be repeated it is known, then room is made."""
    bus, binding = bench.gateway_bus(), await bound(bench)
    old = [noted(f"a-{number}", binding) for number in range(OFFERS_PRUNED - 1)]
    later = [
        noted(f"b-{number}", binding, SOON_MS + pause_ms + 1) for number in range(OFFERS_PRUNED)
    ]
    for offers in (old, *([each] for each in later)):
        await bus.offer(offers)
        received = await streamed(bench)
        await bench.publish(Outgoing(refusals=[a_refusal(each) for each in received]))
    assert await streamed(bench) == []

    await bus.offer(old)

    assert bool(await streamed(bench)) == bool(pause_ms)
