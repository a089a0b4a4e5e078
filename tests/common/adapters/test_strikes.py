from __future__ import annotations

from trio.abc import Clock

from common.grid import AgentId
from common.limits import (
    EXPIRED_ANSWERS_MAX,
    INVALID_ANSWERS_MAX,
)
from gateway import ports
from tests.common.adapters.bench import (
    SHORT,
    Bench,
    wait_ms,
)

AGENT = AgentId("agt_1")


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
