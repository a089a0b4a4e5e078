from __future__ import annotations

from time import perf_counter

import pytest
from prometheus_client import REGISTRY

from common.adapters.calls import Calls, outcome_of
from common.adapters.metrics import POSTGRES_SECONDS
from common.adapters.redis import Redis, open_redis
from common.errors import InDoubt, Unavailable


def _count(metric: str, operation: str, outcome: str) -> float:
    labels = {"operation": operation, "outcome": outcome}
    return REGISTRY.get_sample_value(f"tessera_{metric}_call_seconds_count", labels) or 0.0


def test_an_operation_is_one_word() -> None:
    calls = Calls("postgresql", POSTGRES_SECONDS)
    before = _count("postgres", "noting_a_keys_use", "ok")
    calls.ended("noting a key's use", perf_counter() - 0.01, "ok")
    assert _count("postgres", "noting_a_keys_use", "ok") == before + 1


def test_an_outcome_says_what_is_known() -> None:
    assert outcome_of(Unavailable("no")) == "unavailable"
    assert outcome_of(InDoubt("who knows")) == "in_doubt"
    assert outcome_of(AssertionError("our own command was wrong")) == "refused"


@pytest.mark.embedded
async def test_calls_to_redis_are_counted_by_what_came_of_them(redis_url: str) -> None:
    ok, refused = _count("redis", "ping", "ok"), _count("redis", "hget", "refused")
    async with open_redis(redis_url) as redis:
        await _ask(redis)
    assert _count("redis", "ping", "ok") == ok + 1
    assert _count("redis", "hget", "refused") == refused + 1


async def _ask(redis: Redis) -> None:
    await redis.command("PING")
    await redis.command("SET", "some-key", "no hash")
    with pytest.raises(AssertionError):
        await redis.command("HGET", "some-key", "field")


async def test_a_redis_that_is_away_is_counted_too() -> None:
    before = _count("redis", "ping", "unavailable")
    async with open_redis("redis://127.0.0.1:1/0") as redis:
        with pytest.raises(Unavailable):
            await redis.command("PING")
    assert _count("redis", "ping", "unavailable") == before + 1
