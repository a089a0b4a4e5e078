from __future__ import annotations

from trio.abc import Clock

from tests.common.adapters.bench import (
    ALICE,
    BOB,
    SHORT,
    Bench,
    wait_ms,
)


async def test_a_session_is_absent_once_its_presence_ran_out(bench: Bench, clock: Clock) -> None:
    bus, gateway_bus = bench.shard_bus(), bench.gateway_bus()
    await gateway_bus.refresh([ALICE])
    assert await bus.absent([ALICE]) == []

    await wait_ms(SHORT.presence_ms + 20)
    await gateway_bus.refresh([BOB])

    assert await bus.absent([ALICE, BOB]) == [ALICE]
    assert await bus.absent([ALICE, BOB]) == [ALICE]


async def test_an_unknown_session_is_given_time_to_come_back(bench: Bench, clock: Clock) -> None:
    bus = bench.shard_bus()

    assert await bus.absent([ALICE]) == []
    await wait_ms(SHORT.resume_ms + 20)

    assert await bus.absent([ALICE]) == [ALICE]


async def test_a_reprieve_gives_time_and_takes_none(bench: Bench, clock: Clock) -> None:
    bus, gateway_bus = bench.shard_bus(), bench.gateway_bus()
    await gateway_bus.refresh([ALICE, BOB])
    await wait_ms(SHORT.presence_ms + 20)
    await gateway_bus.refresh([BOB])

    await bus.reprieve([ALICE, BOB])

    assert await bus.absent([ALICE, BOB]) == []
    await wait_ms(SHORT.resume_ms + 20)
    assert await bus.absent([ALICE, BOB]) == [ALICE]
