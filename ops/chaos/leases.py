"""Who holds which slot and what is published, as Redis says it, looked at many times a second;
and one thing that can be done to Redis without a signal.

A look is one round trip; it goes through a thread, because redis-py's own client is not trio's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import cast

import attrs
import redis
import trio

from common import topics, wire
from common.grid import ChunkId, Epoch, Slot, Tick
from common.topology import SlotBeat
from ops.chaos.takeover import Look, Published, Takeover

LOOK_SECONDS = 0.05  # What a takeover is measured to.
ANSWER_SECONDS_MAX = 1.0
CUT_SECONDS = 1.0  # Some ticks, whose deltas are surely missed.
CUT_PAUSE_SECONDS = 0.02


@attrs.define
class Leases:
    url: Callable[[], str]
    """Asked again after each failure."""
    slots: int
    chunks: Sequence[ChunkId]
    """Those of which it is looked how far they are published."""
    holders: dict[Slot, str | None] = attrs.field(factory=dict)
    look: Look = attrs.field(factory=Look)
    """The last one."""
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

    async def wait_over(self, takeover: Takeover) -> None:
        """Return once somebody other than before serves the slot."""
        while not takeover.is_over(self.look):
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
        with redis.Redis.from_url(
            self.url(), socket_timeout=patience, socket_connect_timeout=patience
        ) as client:
            while True:
                self.look = await trio.to_thread.run_sync(self._look, client)
                for slot in map(Slot, range(self.slots)):
                    lease = self.look.leases.get(slot)
                    self.holders[slot] = topics.process_of(lease) if lease is not None else None
                self._looked.set()
                self._looked = trio.Event()
                await trio.sleep(LOOK_SECONDS)

    def _look(self, client: redis.Redis) -> Look:
        slots = [Slot(slot) for slot in range(self.slots)]
        with client.pipeline(transaction=True) as asking:
            asking.mget([topics.lease(slot) for slot in slots])
            asking.mget([topics.fence(chunk) for chunk in self.chunks])
            asking.hmget(topics.SLOTS, [str(slot) for slot in slots])
            found = cast("list[list[bytes | None]]", asking.execute())
        leases, fences, beats = found
        return Look(
            {slot: lease.decode() for slot, lease in zip(slots, leases, strict=True) if lease},
            {
                slot: wire.decode(beat, SlotBeat)
                for slot, stored in zip(slots, beats, strict=True)
                if stored and (beat := stored.partition(b" ")[2])  # None yet of a new holder.
            },
            {
                chunk: _published(fence)
                for chunk, fence in zip(self.chunks, fences, strict=True)
                if fence
            },
        )


def _published(fence: bytes) -> Published:
    epoch, tick = map(int, fence.split())
    return Published(Epoch(epoch), Tick(tick))
