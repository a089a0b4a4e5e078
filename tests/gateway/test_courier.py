"""The courier: many offers, one call, and everybody gets an answer of his own."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
import trio.testing

from common.bus import Offer, Take, Verdict
from common.errors import InDoubt, Unavailable
from common.limits import OFFER_BATCH_MAX, OFFER_QUEUE_MAX, REDIS_SECONDS_MAX
from gateway.courier import Courier


class CountingBus:
    """Answers each offer with the number that its bucket's burst has; or in another way."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.trouble: Exception | None = None
        self.stuck = False

    async def offer(self, offers: Sequence[Offer]) -> Sequence[Verdict]:
        self.calls.append(len(offers))
        await trio.lowlevel.checkpoint()
        if self.stuck:
            await trio.sleep_forever()
        if self.trouble is not None:
            raise self.trouble
        return [Verdict(retry_after_ms=offer.takes[0].burst) for offer in offers]


def an_offer(number: int) -> Offer:
    return Offer(takes=(Take("command", "ses_1", 1.0, number),))


async def offer_all(courier: Courier, count: int) -> list[Verdict | Exception]:
    answers: list[Verdict | Exception] = [Verdict()] * count

    async def one(number: int) -> None:
        try:
            answers[number] = await courier.offer(an_offer(number))
        except (Unavailable, InDoubt) as trouble:
            answers[number] = trouble

    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(one, number)
    return answers


def a_courier(bus: CountingBus) -> Courier:
    return Courier(bus)  # type: ignore[arg-type]  # It asks for ``offer`` only.


async def test_offers_of_many_go_in_one_call_and_each_gets_its_own_verdict(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    bus = CountingBus()
    courier = a_courier(bus)
    nursery.start_soon(courier.run)
    answers = await offer_all(courier, 50)
    assert bus.calls == [50]
    assert answers == [Verdict(retry_after_ms=number) for number in range(50)]
    nursery.cancel_scope.cancel()


async def test_a_call_takes_no_more_than_it_may(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    bus = CountingBus()
    courier = a_courier(bus)
    nursery.start_soon(courier.run)
    await offer_all(courier, OFFER_BATCH_MAX + 1)
    assert bus.calls == [OFFER_BATCH_MAX, 1]
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("trouble", [Unavailable("gone"), InDoubt("who knows")])
async def test_trouble_reaches_everybody_who_waits_and_nobody_later(
    trouble: Exception, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    bus = CountingBus()
    courier = a_courier(bus)
    nursery.start_soon(courier.run)
    bus.trouble = trouble
    answers = await offer_all(courier, 3)
    assert [type(answer) for answer in answers] == [type(trouble)] * 3
    assert len({id(answer) for answer in answers}) == 3, "each caller has an exception of his own"
    bus.trouble = None
    assert await offer_all(courier, 1) == [Verdict(retry_after_ms=0)]
    nursery.cancel_scope.cancel()


async def test_a_redis_that_does_not_answer_leaves_offers_in_doubt_after_a_while(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    bus = CountingBus()
    bus.stuck = True
    courier = a_courier(bus)
    nursery.start_soon(courier.run)
    (answer,) = await offer_all(courier, 1)
    assert isinstance(answer, InDoubt)
    assert trio.current_time() == pytest.approx(REDIS_SECONDS_MAX, abs=0.1)
    nursery.cancel_scope.cancel()


async def test_who_waits_when_the_gateway_stops_is_told(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bus = CountingBus()
    bus.stuck = True
    courier = a_courier(bus)
    answers: list[Verdict | Exception] = []

    async def collect(count: int) -> None:
        answers.extend(await offer_all(courier, count))

    async with trio.open_nursery() as callers:
        async with trio.open_nursery() as running:
            running.start_soon(courier.run)
            callers.start_soon(collect, 2)
            await trio.sleep(0.1)  # They are on their way now, and nobody knows how far.
            callers.start_soon(collect, 3)
            await trio.sleep(0.1)  # These were not sent.
            running.cancel_scope.cancel()
    kinds = sorted(type(answer).__name__ for answer in answers)
    assert kinds == ["InDoubt", "InDoubt", "Unavailable", "Unavailable", "Unavailable"]
    with pytest.raises(Unavailable):
        await courier.offer(an_offer(1))


async def test_a_full_queue_turns_offers_away_at_once() -> None:
    courier = a_courier(CountingBus())  # Nobody carries anything.
    async with trio.open_nursery() as callers:
        for number in range(OFFER_QUEUE_MAX):
            callers.start_soon(courier.offer, an_offer(number))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(Unavailable):
            await courier.offer(an_offer(0))
        callers.cancel_scope.cancel()


async def test_who_posts_is_told_later_and_in_order(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    courier, told = a_courier(CountingBus()), list[object]()
    nursery.start_soon(courier.run)
    for number in range(3):
        courier.post(an_offer(number), told.append)
    assert told == []
    await trio.testing.wait_all_tasks_blocked()
    assert told == [Verdict(retry_after_ms=number) for number in range(3)]


async def test_who_posts_is_told_of_trouble_too(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    bus, told = CountingBus(), list[object]()
    bus.trouble = Unavailable("down")
    courier = a_courier(bus)
    nursery.start_soon(courier.run)
    courier.post(an_offer(1), told.append)
    await trio.testing.wait_all_tasks_blocked()
    assert told == [bus.trouble]
    bus.stuck = True
    courier.post(an_offer(1), told.append)
    await trio.sleep(REDIS_SECONDS_MAX + 0.1)
    assert isinstance(told[1], InDoubt)


async def test_who_posts_when_all_is_full_is_told_nothing_later() -> None:
    courier, told = a_courier(CountingBus()), list[object]()  # Nobody carries anything.
    for number in range(OFFER_QUEUE_MAX):
        courier.post(an_offer(number), told.append)
    with pytest.raises(Unavailable):
        courier.post(an_offer(0), told.append)
    assert told == []
