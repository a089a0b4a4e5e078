"""The way to Redis: one command or one Lua script a call, over a pool of connections.

It knows no key and no message, and never retries. Every error of redis-py ends here: Unavailable
when nothing was sent or Redis said no, InDoubt when it was sent and no answer came. Needs a
trio-asyncio loop around it. A call costs us about a hundred microseconds: batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from typing import TypeAlias

import attrs
import hiredis
import redis.exceptions
import trio
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from trio_asyncio import aio_as_trio

from common.adapters.breaker import Breaker
from common.errors import InDoubt, Misconfigured, Trouble, Unavailable
from common.limits import (
    REDIS_CALLS_MAX,
    REDIS_FAILURES_MAX,
    REDIS_PAUSE_SECONDS,
    REDIS_SECONDS_MAX,
)

Word: TypeAlias = str | bytes | int | float
Reply: TypeAlias = int | bytes | list["Reply"] | None

CLOSE_SECONDS_MAX = 1.0  # Saying goodbye to Redis may not hold up a shutdown.

# What Redis answers when it will not do anything for the moment; a script is refused at its first
# write, before it changed anything.
_REFUSALS = (
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.NoPermissionError,
    redis.exceptions.MasterDownError,
)
_REFUSAL_CODES = ("MISCONF", "BUSY", "NOREPLICAS")


@attrs.frozen
class Script:
    name: str
    source: str
    digest: str


def read_script(name: str) -> Script:
    """Return ``lua/<name>.lua``."""
    source = resources.files("common.adapters.lua").joinpath(f"{name}.lua").read_text()
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


@asynccontextmanager
async def open_redis(url: str) -> AsyncIterator[Redis]:
    """Connects on first use. Misconfigured when ``url`` can't be one of Redis."""
    pool = _make_pool(url)
    try:
        yield Redis(pool)
    finally:
        with trio.move_on_after(CLOSE_SECONDS_MAX, shield=True):
            await aio_as_trio(pool.aclose)()


def _make_pool(url: str) -> ConnectionPool:
    try:
        return ConnectionPool.from_url(
            url,
            protocol=2,  # Plain lists; nothing is pushed in between.
            # Deadlines are trio's: asyncio's cost a task or a timer for each call.
            socket_timeout=None,
            socket_connect_timeout=REDIS_SECONDS_MAX,
            # Calls have their own bound; those that block on purpose come on top.
            max_connections=10 * REDIS_CALLS_MAX,
        )
    except ValueError as error:
        raise Misconfigured(f"REDIS_URL: {error}") from None


@attrs.define
class _Progress:
    sent: bool = False


class Redis:
    """At most REDIS_CALLS_MAX calls are under way; the others wait for their turn."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._turns = trio.Semaphore(REDIS_CALLS_MAX)
        self._breaker = Breaker(REDIS_FAILURES_MAX, REDIS_PAUSE_SECONDS)

    async def call(self, script: Script, keys: Sequence[str], words: Sequence[Word]) -> Reply:
        """Run ``script``."""
        rest = (len(keys), *keys, *words)
        try:
            return await self._ask(script.name, ("EVALSHA", script.digest, *rest))
        except redis.exceptions.NoScriptError:  # Nothing was done, so asking again is no retry.
            return await self._ask(script.name, ("EVAL", script.source, *rest))

    async def command(self, *words: Word) -> Reply:
        return await self._ask(str(words[0]), words)

    async def wait(self, seconds: float, *words: Word) -> Reply:
        """As ``command``, for one that Redis answers within ``seconds``; takes nobody's turn."""
        return await self._ask(str(words[0]), words, wait_seconds=seconds)

    def make_connection(self) -> AbstractConnection:
        """Return a connection outside of the pool, not yet connected; the caller's to close."""
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py gives it no types.
        return connection

    async def _ask(
        self, what: str, words: tuple[Word, ...], wait_seconds: float | None = None
    ) -> Reply:
        if not self._breaker.allows(trio.current_time()):
            raise Unavailable(f"{what}: Redis failed {REDIS_FAILURES_MAX} times; pausing a moment")
        progress = _Progress()
        reply: Reply
        try:
            with trio.fail_after(REDIS_SECONDS_MAX + (wait_seconds or 0)):
                if wait_seconds is not None:
                    reply = await aio_as_trio(self._exchange)(words, progress)
                else:
                    async with self._turns:
                        reply = await aio_as_trio(self._exchange)(words, progress)
        except redis.exceptions.ResponseError as error:
            self._breaker.succeeded()  # It answered.
            raise _no(what, error) from error
        except (redis.exceptions.RedisError, OSError, trio.TooSlowError) as error:
            self._breaker.failed(trio.current_time())
            raise trouble(what, error, sent=progress.sent) from error
        self._breaker.succeeded()
        return reply

    async def _exchange(self, words: tuple[Word, ...], progress: _Progress) -> Reply:
        """Runs in asyncio. Whatever interrupts it, redis-py closes a connection left half used."""
        connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py gives it no types.
        try:
            progress.sent = True
            await connection.send_packed_command(pack(*words))
            reply: Reply = await connection.read_response()
            return reply
        finally:
            await self._pool.release(connection)


def pack(*words: Word) -> bytes:
    """Return a command as it goes over the wire; hiredis needs a third of redis-py's time."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # Its stub: one word.
    return packed


def trouble(what: str, error: Exception, *, sent: bool) -> Trouble:
    """Say in our words what went wrong while talking to Redis."""
    why = str(error) or type(error).__name__
    if isinstance(error, redis.exceptions.BusyLoadingError | redis.exceptions.AuthenticationError):
        return Unavailable(f"{what}: Redis refused: {why}")
    if sent:
        return InDoubt(f"{what}: no answer from Redis: {why}")
    return Unavailable(f"{what}: Redis can't be reached: {why}")


def _no(what: str, error: redis.exceptions.ResponseError) -> Exception:
    if isinstance(error, redis.exceptions.NoScriptError):
        return error
    if isinstance(error, _REFUSALS) or str(error).startswith(_REFUSAL_CODES):
        return Unavailable(f"{what}: Redis refused: {error}")
    return AssertionError(f"{what}: {error}")  # Our own command was wrong.
