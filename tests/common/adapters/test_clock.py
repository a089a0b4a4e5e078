"""The clocks agree with whose time they tell, and with themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import trio
import trio.testing

from common.adapters.clock import SystemClock, TrioClock
from gateway import ports as gateway_ports
from shard import ports as shard_ports

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_both_clocks_are_what_gateways_and_shards_ask_for() -> None:
    for clock in (SystemClock(), TrioClock()):
        for_a_gateway: gateway_ports.Clock = clock
        for_a_shard: shard_ports.Clock = clock
        assert for_a_gateway is for_a_shard


def test_the_system_s_clock_is_aware_and_says_the_same_twice() -> None:
    clock = SystemClock()
    before_ms, now, after_ms = clock.now_ms(), clock.now(), clock.now_ms()
    assert now.utcoffset() == timedelta(0)
    assert before_ms <= now.timestamp() * 1000 <= after_ms + 1


async def test_trio_s_clock_goes_as_fast_as_trio_s_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    clock = TrioClock(START)
    before = clock.now()
    await trio.sleep(90.5)
    assert clock.now() - before == timedelta(seconds=90.5)
    assert clock.now_ms() == round(clock.now().timestamp() * 1000)
