"""``shard.ports.Leases`` on a MemoryRedis."""

from __future__ import annotations

from common.adapters.memory_redis import MemoryRedis
from common.grid import Slot


class MemoryLeases:
    def __init__(self, redis: MemoryRedis) -> None:
        self._redis = redis

    async def acquire(self, slot: Slot, holder: str) -> bool:
        await self._redis.turn("acquire")
        if self._redis.holder(slot) not in (None, holder):
            return False
        self._extend(slot, holder)
        return True

    async def renew(self, slot: Slot, holder: str) -> bool:
        await self._redis.turn("renew")
        if self._redis.holder(slot) != holder:
            return False
        self._extend(slot, holder)
        return True

    async def release(self, slot: Slot, holder: str) -> None:
        await self._redis.turn("release")
        if self._redis.holder(slot) == holder:
            del self._redis.leases[slot]

    def _extend(self, slot: Slot, holder: str) -> None:
        until_ms = self._redis.now_ms() + self._redis.durations.lease_ms
        self._redis.leases[slot] = (holder, until_ms)
