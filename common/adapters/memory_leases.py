"""``shard.ports.Leases`` on a MemoryRedis."""

from __future__ import annotations

from collections.abc import Sequence

from common.adapters.memory_redis import MemoryRedis
from common.grid import ChunkId, Slot


class MemoryLeases:
    def __init__(self, redis: MemoryRedis) -> None:
        self._redis = redis

    async def acquire(self, slot: Slot, holder: str) -> bool:
        await self._redis.turn("acquire")
        if self._redis.holder(slot) not in (None, holder):
            return False
        is_new = self._redis.holder(slot) is None
        self._extend(slot, holder)
        if is_new:
            self._redis.stir()
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
            self._redis.stir()

    async def claim(self, chunks: Sequence[ChunkId], holder: str) -> bool:
        await self._redis.turn("claim")
        now_ms, creations = self._redis.now_ms(), self._redis.creations
        for chunk in chunks:
            claimant, until_ms = creations.get(chunk, (holder, 0.0))
            if claimant != holder and now_ms < until_ms:
                return False
        until_ms = now_ms + self._redis.durations.creation_ms
        creations.update(dict.fromkeys(chunks, (holder, until_ms)))
        return True

    def _extend(self, slot: Slot, holder: str) -> None:
        until_ms = self._redis.now_ms() + self._redis.durations.lease_ms
        self._redis.leases[slot] = (holder, until_ms)
