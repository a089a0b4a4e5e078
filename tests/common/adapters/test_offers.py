from __future__ import annotations

from trio.abc import Clock

from common.bus import Forward, Offer, Outgoing, Take, Verdict
from common.grid import Slot
from common.limits import (
    SLOT_STREAM_MAX,
)
from tests.common.adapters.bench import (
    SLOT,
    Bench,
    a_command,
    ids,
    offers,
    wait_ms,
)


def a_take(subject: str = "ses_1", *, per_second: float = 10, burst: int = 2) -> Take:
    return Take("command", subject, per_second, burst)


def taking(*takes: Take, id: str = "c-1") -> Offer:
    return Offer(takes=takes, slot=SLOT, message=a_command(id))


async def received(bench: Bench) -> list[str]:
    return ids(each.message for each in await bench.shard_bus().receive(SLOT, "0", 30_000, 0))


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

    await bench.publish(Outgoing(forwards=[Forward(SLOT, a_command("last"))]))

    assert (await received(bench))[-1] == "last"
