"""Who holds which slot, as Redis says it, looked at many times a second; and one thing
that can be done to Redis without a signal.

A look costs Redis one MGET; it goes through a thread, because redis-py's own client is not trio's.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import attrs
import redis
import trio

from common import topics
from common.grid import Slot

LOOK_SECONDS = 0.05  # What a takeover is measured to.
ANSWER_SECONDS_MAX = 1.0
CUT_SECONDS = 1.0  # Some ticks, whose deltas are surely missed.
CUT_PAUSE_SECONDS = 0.02


@attrs.define
class Leases:
    url: Callable[[], str]
    """Asked again after each failure."""
    slots: int
    holders: dict[Slot, str | None] = attrs.field(factory=dict)
    _looked: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def watch(self) -> None:
        """Look until cancelled; while Redis is away the last known holders stay."""
        while True:
            try:
                await self._watch_once()
            except (redis.RedisError, OSError, AssertionError):
                await trio.sleep(LOOK_SECONDS)

    async def wait_other(self, slot: Slot, holder: str) -> None:
        """Return once somebody other than ``holder`` has ``slot``."""
        while self.holders.get(slot) in (None, holder):
            await self._looked.wait()

    async def cut_subscriptions(self) -> bool:
        """Cut subscriptions for a while, as often as they come back: what is said is not heard."""
        try:
            await trio.to_thread.run_sync(self._cut)
        except (redis.RedisError, OSError, AssertionError):
            return False
        return True

    def _cut(self) -> None:
        until = time.monotonic() + CUT_SECONDS
        with redis.Redis.from_url(self.url(), socket_timeout=ANSWER_SECONDS_MAX) as client:
            while time.monotonic() < until:
                client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                time.sleep(CUT_PAUSE_SECONDS)

    async def _watch_once(self) -> None:
        patience = ANSWER_SECONDS_MAX
        keys = [topics.lease(Slot(slot)) for slot in range(self.slots)]
        with redis.Redis.from_url(
            self.url(), socket_timeout=patience, socket_connect_timeout=patience
        ) as client:
            while True:
                found = await trio.to_thread.run_sync(client.mget, keys)
                for slot, holder in enumerate(found):
                    process = topics.process_of(holder.decode()) if holder is not None else None
                    self.holders[Slot(slot)] = process
                self._looked.set()
                self._looked = trio.Event()
                await trio.sleep(LOOK_SECONDS)
