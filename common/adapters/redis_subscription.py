"""One pub/sub connection that comes back by itself, with all that it was subscribed to.

It knows channels and bytes, no messages. redis-py's own PubSub is not used: it reconnects behind
one's back, so one can't tell that something was missed. Here every loss is reported before the
first message after it. What was published while it was away is gone: the listener's to repair.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import NoReturn

import attrs
import trio

from common.adapters.metrics import SUBSCRIPTIONS_LOST
from common.adapters.redis import Redis, trouble
from common.adapters.redis_link import Link, LinkLost, RefusedByRedis, pack
from common.errors import Unavailable
from common.limits import (
    REDIS_RECONNECT_SECONDS_MAX,
    REDIS_SECONDS_MAX,
    REDIS_SILENCE_SECONDS,
)

Hear = Callable[[str, bytes], None]
"""Called with channel and message, in order. WouldBlock when there is no room for it: then the
connection is given up, and what follows is a loss like any other."""

_LOSSES = (LinkLost, RefusedByRedis)
_FIRST_BACKOFF_SECONDS = 0.05


@attrs.define(eq=False)
class _Link:
    """One connection, from its first SUBSCRIBE until it is lost."""

    connection: Link
    unconfirmed: deque[trio.Event] = attrs.field(factory=deque)
    """One for each SUBSCRIBE and UNSUBSCRIBE of one channel, in the order of their sending."""
    lost: bool = False
    heard: bool = True

    async def open(self, channels: Sequence[str]) -> None:
        """One command for all, so that no message can come in between."""
        await self.send("SUBSCRIBE", *channels)
        for _ in channels:
            await self.connection.read()

    async def send(self, *words: str, confirmed: trio.Event | None = None) -> None:
        """Up to the writing it does not give way, so order is kept."""
        if confirmed is not None:
            self.unconfirmed.append(confirmed)
        await self.connection.send(pack(*words))

    async def listen(self, hear: Hear) -> NoReturn:
        """Until the connection is lost."""
        while True:
            reply = await self.connection.read()
            self.heard = True
            match reply:
                case [b"message", bytes(channel), bytes(message)]:
                    hear(channel.decode(), message)
                case [b"subscribe" | b"unsubscribe", _, _]:
                    self.unconfirmed.popleft().set()
                case _:
                    pass  # The answer to a ping.


class RedisSubscription:
    """Open it, run it in a nursery, and then add and remove channels from any task."""

    def __init__(
        self, redis: Redis, own_channel: str, *, silence_seconds: float = REDIS_SILENCE_SECONDS
    ) -> None:
        self._redis = redis
        self._silence_seconds = silence_seconds
        self._channels = {own_channel}
        self._link: _Link | None = None
        self._sending = trio.Lock()

    async def open(self) -> None:
        """Connect and subscribe to the own channel, or raise Unavailable."""
        self._link = await self._connect()

    async def run(self, hear: Hear, restored: Callable[[], Awaitable[None]]) -> NoReturn:
        """Hear everything that is subscribed to, and call ``restored`` after each loss."""
        assert self._link is not None, "open() comes first"
        try:
            while True:
                await self._listen(self._link, self._hear_wanted(hear))
                SUBSCRIPTIONS_LOST.inc()
                self._link = await self._reconnect()
                await restored()
        finally:
            if self._link is not None:
                self._drop(self._link)

    async def add(self, channel: str) -> None:
        """Messages published to ``channel`` after this returns are heard. Or Unavailable."""
        self._channels.add(channel)
        try:
            await self._ask("SUBSCRIBE", channel)
        except BaseException:
            # Also when cancelled: nobody would remove it. What still comes is not passed on.
            self._channels.discard(channel)
            raise

    async def remove(self, channel: str) -> None:
        """Nothing published to ``channel`` is heard any more, from now on."""
        self._channels.discard(channel)
        # Without a connection there is nothing to take back.
        with suppress(Unavailable):
            await self._ask("UNSUBSCRIBE", channel)

    def _hear_wanted(self, hear: Hear) -> Hear:
        def hear_wanted(channel: str, message: bytes) -> None:
            if channel in self._channels:
                hear(channel, message)

        return hear_wanted

    async def _ask(self, *words: str) -> None:
        what = " ".join(words)
        link = self._link
        if link is None:
            raise Unavailable(f"{what}: the subscription is lost, and not yet back")
        confirmed = trio.Event()
        try:
            with trio.fail_after(REDIS_SECONDS_MAX):
                async with self._sending:
                    await link.send(*words, confirmed=confirmed)
                await confirmed.wait()
        except (*_LOSSES, trio.TooSlowError) as error:
            raise trouble(what, error, sent=False) from error
        if link.lost:
            raise Unavailable(f"{what}: the subscription was lost meanwhile")

    async def _connect(self) -> _Link:
        link = None
        try:
            with trio.fail_after(REDIS_SECONDS_MAX):
                link = _Link(await self._redis.open_link())
                await link.open(sorted(self._channels))
        except BaseException as error:
            if link is not None:
                self._drop(link)
            if isinstance(error, (*_LOSSES, trio.TooSlowError)):
                raise trouble("subscribing", error, sent=False) from error
            raise
        return link

    async def _reconnect(self) -> _Link:
        backoff = _FIRST_BACKOFF_SECONDS
        while True:
            # Jitter, so that all gateways do not come at once to a Redis that is just back.
            await trio.sleep(backoff * random.uniform(0.5, 1))  # noqa: S311  # Nothing secret.
            try:
                return await self._connect()
            except Unavailable:
                backoff = min(backoff * 2, REDIS_RECONNECT_SECONDS_MAX)

    async def _listen(self, link: _Link, hear: Hear) -> None:
        """Return when ``link`` is lost; then it is closed, and nobody waits for it any more."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._ping_until_silent, link, nursery.cancel_scope)
                try:
                    await link.listen(hear)
                except (*_LOSSES, trio.WouldBlock):
                    nursery.cancel_scope.cancel()
        finally:
            self._drop(link)

    async def _ping_until_silent(self, link: _Link, scope: trio.CancelScope) -> None:
        """A peer that vanished sends no end: ask now and then, and give up when nothing comes."""
        while link.heard:
            link.heard = False
            try:
                with trio.move_on_after(self._silence_seconds):
                    async with self._sending:
                        await link.send("PING")
                    await trio.sleep_forever()
            except _LOSSES:
                break
        scope.cancel()

    def _drop(self, link: _Link) -> None:
        if link is self._link:
            self._link = None
        link.lost = True
        while link.unconfirmed:
            link.unconfirmed.popleft().set()
        link.connection.close()
