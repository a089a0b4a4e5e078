"""A server that hangs is seen to, also by callers that are no more patient than their adapter.

The caller's deadline then comes first, and all that the adapter hears is that it is cancelled.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
import trio_asyncio
from prometheus_client import REGISTRY

from common.adapters import postgres as postgres_module
from common.adapters.postgres import Postgres, open_postgres
from common.adapters.redis import Redis
from common.errors import InDoubt, Trouble, Unavailable
from common.limits import (
    INTAKE_WAIT_MS,
    POSTGRES_FAILURES_MAX,
    REDIS_FAILURES_MAX,
    REDIS_SECONDS_MAX,
    REDIS_UNANSWERED_SECONDS,
)
from gateway.agent.outside import ask_redis
from shard.lease import RENEW_SECONDS
from shard.patience import bounded
from tests.common.adapters.bad_server import Server
from tests.common.adapters.bench import opened

Call = Callable[[], Awaitable[object]]

POSTGRES_SECONDS = 0.4  # Instead of POSTGRES_SECONDS_MAX, and of what is less than that:
POSTGRES_SILENCE = 0.1


def _count(server: str, operation: str, outcome: str) -> float:
    labels = {"operation": operation, "outcome": outcome}
    return REGISTRY.get_sample_value(f"tessera_{server}_call_seconds_count", labels) or 0.0


async def _ask_in_vain(ask: Call, times: int) -> None:
    """So many at once."""

    async def one() -> None:
        with pytest.raises(InDoubt):
            await ask()

    async with trio.open_nursery() as nursery:
        for _ in range(times):
            nursery.start_soon(one)


async def _waited_for(redis: Redis) -> object:
    return await redis.wait(INTAKE_WAIT_MS / 1000, "HANG", "BLOCK")


@pytest.mark.parametrize(
    "ask",
    [
        lambda redis: bounded(REDIS_SECONDS_MAX, lambda: redis.command("HANG")),
        lambda redis: bounded(RENEW_SECONDS, lambda: redis.command("HANG")),
        lambda redis: bounded(
            INTAKE_WAIT_MS / 1000 + REDIS_SECONDS_MAX, lambda: _waited_for(redis)
        ),
        lambda redis: ask_redis(redis.command("HANG")),
    ],
    ids=["shard", "lease", "intake", "gateway"],
)
async def test_a_redis_that_hangs_is_in_doubt_and_soon_asked_no_more(
    ask: Callable[[Redis], Awaitable[object]],
) -> None:
    doubts, cancels = _count("redis", "hang", "in_doubt"), _count("redis", "hang", "cancelled")
    async with Server([]) as server, opened(server.url) as redis:
        await _ask_in_vain(partial(ask, redis), REDIS_FAILURES_MAX)
        assert _count("redis", "hang", "in_doubt") == doubts + REDIS_FAILURES_MAX
        assert _count("redis", "hang", "cancelled") == cancels
        with pytest.raises(Unavailable, match="pausing"):
            await ask(redis)


async def test_a_wait_that_redis_was_allowed_is_no_silence() -> None:
    cancels = _count("redis", "hang", "cancelled")
    async with Server([]) as server, opened(server.url) as redis:
        for _ in range(REDIS_FAILURES_MAX + 1):
            with trio.move_on_after(0.01):
                await redis.command("HANG")
        async with trio.open_nursery() as nursery:
            for _ in range(REDIS_FAILURES_MAX + 1):
                nursery.start_soon(_waited_for, redis)
            await trio.sleep(REDIS_UNANSWERED_SECONDS + 0.1)
            nursery.cancel_scope.cancel()
        assert _count("redis", "hang", "cancelled") == cancels + 2 * (REDIS_FAILURES_MAX + 1)
        with trio.move_on_after(0.01) as scope:
            await redis.command("HANG")  # It is still asked.
        assert scope.cancelled_caught


def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_module, "POSTGRES_SECONDS_MAX", POSTGRES_SECONDS)
    monkeypatch.setattr(postgres_module, "POSTGRES_UNANSWERED_SECONDS", POSTGRES_SILENCE)


def _write(postgres: Postgres, doing: str) -> Awaitable[object]:
    return bounded(POSTGRES_SECONDS, lambda: postgres.write(doing, "select pg_sleep(60)"))


@pytest.mark.embedded
async def test_a_postgres_that_hangs_is_in_doubt_and_soon_asked_no_more(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubts, cancels = (_count("postgres", "hanging", one) for one in ("in_doubt", "cancelled"))
    async with (
        trio_asyncio.open_loop(),
        open_postgres(database_url, POSTGRES_FAILURES_MAX) as postgres,
    ):
        async with trio.open_nursery() as nursery:  # So that there is a connection for each.
            for _ in range(POSTGRES_FAILURES_MAX):
                nursery.start_soon(postgres.read, "connecting", "select pg_sleep(0.1)")
        _hurry(monkeypatch)
        await _ask_in_vain(partial(_write, postgres, "hanging"), POSTGRES_FAILURES_MAX)
        assert _count("postgres", "hanging", "in_doubt") == doubts + POSTGRES_FAILURES_MAX
        assert _count("postgres", "hanging", "cancelled") == cancels
        with pytest.raises(Unavailable, match="in a row"):
            await _write(postgres, "hanging")


@pytest.mark.embedded
async def test_a_read_of_a_postgres_that_hangs_has_done_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _count("postgres", "reading_in_vain", "unavailable")
    async with trio_asyncio.open_loop(), open_postgres(database_url, 1) as postgres:
        await postgres.read("asking", "select 1")
        _hurry(monkeypatch)
        async with trio.open_nursery() as nursery:
            for _ in range(2):  # The second one waits for the seat of the first.
                nursery.start_soon(_read_in_vain, postgres)
    assert _count("postgres", "reading_in_vain", "unavailable") == before + 2


async def _read_in_vain(postgres: Postgres) -> None:
    with pytest.raises(Trouble):
        await bounded(
            POSTGRES_SECONDS, lambda: postgres.read("reading in vain", "select pg_sleep(60)")
        )
