"""The town that tests of a whole shard process live in."""

from __future__ import annotations

import pytest
import trio

from common.adapters.memory_gateway_bus import MemoryGatewayBus
from common.adapters.memory_postgres import MemoryPostgres
from common.topology import Topology
from tests.shard.town import RecordingRedis, Town


@pytest.fixture
def shard_count() -> int:
    """Overridden where more are wanted."""
    return 1


@pytest.fixture
async def town(nursery: trio.Nursery, shard_count: int) -> Town:
    """A test that takes it needs ``autojump_clock`` as an argument of its own, too."""
    redis = RecordingRedis()
    postgres = MemoryPostgres(now_ms=lambda: int(redis.now_ms()))
    postgres.topology = Topology(epoch=1, shard_count=shard_count)
    town = Town(nursery, redis, postgres, MemoryGatewayBus(redis))
    await nursery.start(town.listen)
    return town
