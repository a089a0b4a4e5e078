from __future__ import annotations

from trio.abc import Clock

from tests.common.adapters.bench import (
    ALICE,
    BOB,
    EAST,
    SHORT,
    Bench,
    wait_ms,
)


async def test_a_session_is_absent_once_its_presence_ran_out(bench: Bench, clock: Clock) -> None:
    bus, gateway_bus = bench.shard_bus(), bench.gateway_bus()
    await gateway_bus.refresh(EAST, [(ALICE, 1)])
    assert await bus.absent([ALICE]) == []

    await wait_ms(SHORT.presence_ms + 20)
    await gateway_bus.refresh(EAST, [(BOB, 1)])

    assert await bus.absent([ALICE, BOB]) == [ALICE]
    assert await bus.absent([ALICE, BOB]) == [ALICE]


async def test_an_unknown_session_is_given_time_to_come_back(bench: Bench, clock: Clock) -> None:
    bus = bench.shard_bus()

    assert await bus.absent([ALICE]) == []
    await wait_ms(SHORT.resume_ms + 20)

    assert await bus.absent([ALICE]) == [ALICE]


async def test_a_reprieve_gives_time_and_takes_none(bench: Bench, clock: Clock) -> None:
    bus, gateway_bus = bench.shard_bus(), bench.gateway_bus()
    await gateway_bus.refresh(EAST, [(ALICE, 1), (BOB, 1)])
    await wait_ms(SHORT.presence_ms + 20)
    await gateway_bus.refresh(EAST, [(BOB, 1)])

    await bus.reprieve([ALICE, BOB])

    assert await bus.absent([ALICE, BOB]) == []
    await wait_ms(SHORT.resume_ms + 20)
    assert await bus.absent([ALICE, BOB]) == [ALICE]


async def test_who_ran_out_since_is_told_whoever_asks(bench: Bench, clock: Clock) -> None:
    bus, gateway_bus = bench.shard_bus(), bench.gateway_bus()
    await gateway_bus.refresh(EAST, [(ALICE, 1)])
    before = await bus.ran_out(None)
    assert list(before.sessions) == []
    await wait_ms(SHORT.presence_ms + 20)
    await gateway_bus.refresh(EAST, [(BOB, 1)])

    after = await bus.ran_out(before.now_ms)

    assert list(after.sessions) == [ALICE]
    assert after.now_ms >= before.now_ms + SHORT.presence_ms
    await wait_ms(20)
    assert list((await bus.ran_out(after.now_ms)).sessions) == []
    assert list((await bus.ran_out(before.now_ms)).sessions) == [ALICE]


async def test_who_is_ended_has_run_out_at_once(bench: Bench, clock: Clock) -> None:
    bus, gateway_bus = bench.shard_bus(), bench.gateway_bus()
    await gateway_bus.refresh(EAST, [(ALICE, 1), (BOB, 1)])
    since_ms = (await bus.ran_out(None)).now_ms

    await gateway_bus.end(ALICE, replaced=False)

    assert list((await bus.ran_out(since_ms)).sessions) == [ALICE]
