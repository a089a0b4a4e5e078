"""Wait until what was started can be used, or say why it can't.

For the servers: one that we started may take its time, one that the operator named is there or
is not. For our own processes: the run file, then ``/readyz`` on the private port.
Nobody's password is in a message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import asyncpg
import httpx
import redis
import trio
import trio_asyncio

from common.adapters.logs import mask
from common.errors import Misconfigured, Unavailable
from common.limits import POSTGRES_SECONDS_MAX, REDIS_SECONDS_MAX, START_SECONDS_MAX
from ops.up import run_folder
from ops.up.keeper import Keeper

_ASK_SECONDS = 0.05  # Between two questions to somebody who is starting.


async def reach_postgres(url: str, seconds: float) -> str:
    """Return the server's version. Misconfigured when it can't be used within ``seconds``."""
    return await _persist(partial(_ask_postgres, url), "PostgreSQL", "DATABASE_URL", url, seconds)


async def reach_redis(url: str, seconds: float) -> str:
    """Return the server's version. Misconfigured when it can't be used within ``seconds``."""
    return await _persist(partial(_ask_redis, url), "Redis", "REDIS_URL", url, seconds)


async def _persist(
    ask: Callable[[], Awaitable[str]], what: str, setting: str, url: str, seconds: float
) -> str:
    deadline = trio.current_time() + seconds
    while True:
        try:
            return await ask()
        except _Unusable as error:
            if trio.current_time() >= deadline:
                raise Misconfigured(
                    f"{what} at {mask(url)} cannot be used ({mask(str(error))});"
                    f" start it, or correct {setting}"
                ) from None
        await trio.sleep(_ASK_SECONDS)


class _Unusable(Exception):
    """For now; the message is the server's own."""


async def _ask_postgres(url: str) -> str:
    try:
        async with trio_asyncio.open_loop():
            version: str = await trio_asyncio.aio_as_trio(_postgres_version)(url)
            return version
    except (OSError, ValueError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as e:
        raise _Unusable(str(e) or type(e).__name__) from None


async def _postgres_version(url: str) -> str:
    async with asyncio.timeout(POSTGRES_SECONDS_MAX):
        connection = await asyncpg.connect(url)
        try:
            return str(await connection.fetchval("show server_version"))
        finally:
            await connection.close()


async def _ask_redis(url: str) -> str:
    try:
        return await trio.to_thread.run_sync(_redis_version, url)
    except (redis.RedisError, ValueError) as error:
        raise _Unusable(str(error) or type(error).__name__) from None


def _redis_version(url: str) -> str:
    patience = REDIS_SECONDS_MAX
    with redis.Redis.from_url(
        url, socket_timeout=patience, socket_connect_timeout=patience
    ) as client:
        about = client.info("server")
        return str(about.get("valkey_version") or about["redis_version"])


async def all_ready(keepers: Sequence[Keeper]) -> None:
    """Return when each says that it is ready.

    Misconfigured when one ended because the operator must mend something; Unavailable when one
    is not ready after START_SECONDS_MAX.
    """
    async with (
        httpx.AsyncClient(timeout=5, trust_env=False) as client,
        trio.open_nursery() as nursery,
    ):
        for keeper in keepers:
            nursery.start_soon(_one_ready, keeper, client)


async def _one_ready(keeper: Keeper, client: httpx.AsyncClient) -> None:
    answer = "it has not said where it listens"
    with trio.move_on_after(START_SECONDS_MAX):
        while True:
            if keeper.refusal is not None:
                raise Misconfigured(f"{keeper.spec.name}: {keeper.refusal}")
            running = run_folder.read(keeper.folder, keeper.spec.role, keeper.spec.n)
            if running is not None and running.metrics_port is not None:
                answer = await _ask_ready(client, running.metrics_port)
                if not answer:
                    return
            await trio.sleep(_ASK_SECONDS)
    raise Unavailable(
        f"{keeper.spec.name} was not ready after {START_SECONDS_MAX:g} s ({answer});"
        " see what it wrote above"
    )


async def _ask_ready(client: httpx.AsyncClient, port: int) -> str:
    """Return "" when it is ready, else what it says."""
    try:
        answer = await client.get(f"http://127.0.0.1:{port}/readyz")
    except httpx.TransportError as error:
        return str(error) or type(error).__name__
    return "" if answer.status_code == 200 else answer.text
