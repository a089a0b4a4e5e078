"""Ask PostgreSQL and Redis whether they can be used, and for their versions.

For the supervisor and the doctor; the processes of the world have their adapters. Nobody's
password is in a message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import redis
import trio
import trio_asyncio

from common.adapters.postgres import connect
from common.errors import Misconfigured, Trouble
from common.limits import REDIS_SECONDS_MAX
from common.masking import mask

_ASK_SECONDS = 0.05  # Between two questions to a server that is starting.


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
    async with trio_asyncio.open_loop():
        # Raised in here, it would leave in a group.
        answer = await _version_or_trouble(url)
    if isinstance(answer, Trouble):
        raise _Unusable(str(answer))
    return answer


async def _version_or_trouble(url: str) -> str | Trouble:
    try:
        connection = await connect(url)
    except Trouble as trouble:
        return trouble
    try:
        version: str = await trio_asyncio.aio_as_trio(connection.fetchval)("show server_version")
        return version
    finally:
        connection.terminate()


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
