"""Who holds a slot, by Redis: ``shard.ports.Leases`` over a string with an expiry.

A hint that keeps processes from working against each other. It promises nothing when Redis lost
its data or a process was paused: the epoch in PostgreSQL decides.
"""

from __future__ import annotations

from collections.abc import Sequence

from common import topics
from common.adapters.durations import Durations
from common.adapters.redis import Redis, read_script
from common.adapters.redis_link import Word
from common.grid import ChunkId, Slot
from common.limits import NEWS_KEPT

_ACQUIRE = read_script("acquire")
_RENEW = read_script("renew")
_YIELD = read_script("yield")
_CLAIM = read_script("claim")


class RedisLeases:
    def __init__(self, redis: Redis, durations: Durations | None = None) -> None:
        self._redis = redis
        self._lease_ms = (durations or Durations()).lease_ms
        self._creation_ms = (durations or Durations()).creation_ms

    async def acquire(self, slot: Slot, holder: str) -> bool:
        keys = [topics.lease(slot), topics.SLOTS, topics.NEWS]
        words: list[Word] = [slot, holder, self._lease_ms, NEWS_KEPT]
        return await self._redis.call(_ACQUIRE, keys, words) == 1

    async def renew(self, slot: Slot, holder: str) -> bool:
        return await self._redis.call(_RENEW, [topics.lease(slot)], [holder, self._lease_ms]) == 1

    async def release(self, slot: Slot, holder: str) -> None:
        await self._redis.call(_YIELD, [topics.lease(slot), topics.NEWS], [holder, NEWS_KEPT])

    async def claim(self, chunks: Sequence[ChunkId], holder: str) -> bool:
        keys = [topics.creation(chunk) for chunk in chunks]
        return await self._redis.call(_CLAIM, keys, [holder, self._creation_ms]) == 1
