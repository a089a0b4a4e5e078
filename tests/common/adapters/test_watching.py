from __future__ import annotations

from trio.abc import Clock

from tests.common.adapters.bench import HERE, THERE, Bench, wait_ms


async def test_redis_counts_since_when_nobody_has_watched(bench: Bench, clock: Clock) -> None:
    bus, gateway_bus = bench.shard_bus(), bench.gateway_bus()
    await gateway_bus.watching([HERE, THERE])
    await wait_ms(200)
    await gateway_bus.watching([THERE])

    ages = await bus.unwatched_ms([THERE, HERE])

    assert list(ages) == [THERE, HERE]
    assert ages[HERE] >= 190
    assert ages[THERE] < 150


async def test_asking_does_not_count_as_watching(bench: Bench, clock: Clock) -> None:
    bus = bench.shard_bus()
    await bench.gateway_bus().watching([HERE])
    await wait_ms(100)
    first = await bus.unwatched_ms([HERE])
    await wait_ms(100)

    assert (await bus.unwatched_ms([HERE]))[HERE] >= first[HERE] + 90


async def test_an_unknown_chunk_is_counted_from_now_on(bench: Bench, clock: Clock) -> None:
    bus = bench.shard_bus()
    await bench.gateway_bus().watching([HERE])
    await wait_ms(200)
    await bench.forget()

    assert (await bus.unwatched_ms([HERE]))[HERE] < 150
    await wait_ms(200)
    assert (await bus.unwatched_ms([HERE]))[HERE] >= 190


async def test_watching_and_asking_about_nothing_is_nothing(bench: Bench, clock: Clock) -> None:
    await bench.gateway_bus().watching([])
    assert await bench.shard_bus().unwatched_ms([]) == {}
