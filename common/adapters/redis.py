"""The way to Redis: one command or one Lua script a call, over a few connections.

It knows no key and no message, and never retries. Every error of a link ends here: Unavailable
when nothing was sent or Redis said no, InDoubt when it was sent and no answer came. What a caller
gives up after REDIS_UNANSWERED_SECONDS counts as such trouble, too. A call costs us some tens of
microseconds: batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from time import perf_counter

import attrs
import trio

from common.adapters.breaker import Breaker
from common.adapters.calls import REDIS
from common.adapters.redis_link import (
    Address,
    Link,
    LinkLost,
    RefusedByRedis,
    Reply,
    Word,
    pack,
)
from common.errors import InDoubt, Misconfigured, Trouble, Unavailable
from common.limits import (
    REDIS_CALLS_MAX,
    REDIS_FAILURES_MAX,
    REDIS_PAUSE_SECONDS,
    REDIS_SECONDS_MAX,
    REDIS_UNANSWERED_SECONDS,
)

# What Redis answers when it will not do anything for the moment; a script is refused at its first
# write, before it changed anything.
_REFUSALS = ("OOM", "READONLY", "NOPERM", "MASTERDOWN", "MISCONF", "BUSY", "NOREPLICAS")
# The same, to everybody: it counts as a failure.
_CLOSED = ("LOADING", "NOAUTH", "WRONGPASS", "ERR max number of clients")


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
    try:
        address = Address(url)
    except ValueError as error:
        raise Misconfigured(f"REDIS_URL: {error}") from None
    redis = Redis(address)
    try:
        yield redis
    finally:
        redis.close()


class Redis:
    """At most REDIS_CALLS_MAX calls are under way; the others wait for their turn."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._idle: list[Link] = []
        self._turns = trio.Semaphore(REDIS_CALLS_MAX)
        self._breaker = Breaker(REDIS_FAILURES_MAX, REDIS_PAUSE_SECONDS)

    async def call(self, script: Script, keys: Sequence[str], words: Sequence[Word]) -> Reply:
        """Run ``script``."""
        rest = (len(keys), *keys, *words)
        try:
            return await self._ask(script.name, ("EVALSHA", script.digest, *rest))
        except _NoScript:  # Nothing was done, so asking again is no retry.
            return await self._ask(script.name, ("EVAL", script.source, *rest))

    async def command(self, *words: Word) -> Reply:
        return await self._ask(str(words[0]), words)

    async def wait(self, seconds: float, *words: Word) -> Reply:
        """As ``command``, for one that Redis answers within ``seconds``; takes nobody's turn."""
        return await self._ask(str(words[0]), words, wait_seconds=seconds)

    async def open_link(self) -> Link:
        """Return a connection of the caller's own. LinkLost."""
        return await self._address.connect()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    async def _ask(
        self, what: str, words: tuple[Word, ...], wait_seconds: float | None = None
    ) -> Reply:
        began, progress = perf_counter(), _Progress()
        try:
            reply = await self._ask_uncounted(what, words, wait_seconds, progress)
        except BaseException as error:
            REDIS.failed(what, began, progress.given_up or error)
            raise
        REDIS.ended(what, began, "ok")
        return reply

    async def _ask_uncounted(
        self,
        what: str,
        words: tuple[Word, ...],
        wait_seconds: float | None,
        progress: _Progress,
    ) -> Reply:
        began = trio.current_time()
        if not self._breaker.allows(began):
            raise Unavailable(f"{what}: Redis failed {REDIS_FAILURES_MAX} times; pausing a moment")
        try:
            with trio.fail_after(REDIS_SECONDS_MAX + (wait_seconds or 0)):
                if wait_seconds is None:
                    reply = await self._in_turn(words, progress)
                else:
                    reply = await self._exchange(words, progress)
        except RefusedByRedis as refused:
            if str(refused).startswith(_CLOSED):
                self._breaker.failed(trio.current_time())
                raise Unavailable(f"{what}: Redis refused: {refused}") from refused
            self._breaker.succeeded()  # It answered.
            raise _no(what, refused) from refused
        except (LinkLost, trio.TooSlowError) as error:
            self._breaker.failed(trio.current_time())
            raise trouble(what, error, sent=progress.sent) from error
        except trio.Cancelled:
            seconds = trio.current_time() - began - (wait_seconds or 0)
            if seconds >= REDIS_UNANSWERED_SECONDS:
                self._breaker.failed(trio.current_time())
                progress.given_up = trouble(what, trio.TooSlowError(), sent=progress.sent)
            raise
        self._breaker.succeeded()
        return reply

    async def _in_turn(self, words: tuple[Word, ...], progress: _Progress) -> Reply:
        try:
            self._turns.acquire_nowait()  # To acquire is to give way, also when there is room.
        except trio.WouldBlock:
            await self._turns.acquire()
        try:
            return await self._exchange(words, progress)
        finally:
            self._turns.release()

    async def _exchange(self, words: tuple[Word, ...], progress: _Progress) -> Reply:
        """Whatever interrupts it closes the connection: it would be left half used."""
        link = self._take() or await self._address.connect()
        try:
            progress.sent = True
            await link.send(pack(*words))
            reply = await link.read()
        except RefusedByRedis:
            self._idle.append(link)
            raise
        except BaseException:
            link.close()
            raise
        self._idle.append(link)
        return reply

    def _take(self) -> Link | None:
        while self._idle:
            link = self._idle.pop()
            if link.is_idle:
                return link
            link.close()
        return None


@attrs.define
class _Progress:
    sent: bool = False
    given_up: Trouble | None = None
    """What it is, when the caller's own deadline ended a call that Redis had left unanswered."""


class _NoScript(Exception):
    pass


def trouble(what: str, error: Exception, *, sent: bool) -> Trouble:
    """Say in our words what went wrong while talking to Redis."""
    why = str(error) or type(error).__name__
    if sent:
        return InDoubt(f"{what}: no answer from Redis: {why}")
    return Unavailable(f"{what}: Redis can't be reached: {why}")


def _no(what: str, refused: RefusedByRedis) -> Exception:
    if refused.code == "NOSCRIPT":
        return _NoScript()
    if refused.code in _REFUSALS:
        return Unavailable(f"{what}: Redis refused: {refused}")
    return AssertionError(f"{what}: {refused}")  # Our own command was wrong.
