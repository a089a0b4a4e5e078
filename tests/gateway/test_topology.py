from __future__ import annotations

import trio
import trio.testing
from trio.testing import MockClock

from common.adapters.memory_accounts import MemoryAccounts
from common.adapters.memory_gateway_bus import MemoryGatewayBus
from common.adapters.memory_postgres import MemoryPostgres
from common.adapters.memory_redis import MemoryRedis
from common.grid import ChunkId, slot_of
from common.limits import GATEWAY_LOOK_SECONDS
from common.topology import Topology
from gateway.topology import Routes, follow

CHUNK = ChunkId("3:-2")


class World:
    def __init__(self, nursery: trio.Nursery) -> None:
        self.redis = MemoryRedis()
        self.postgres = MemoryPostgres(lambda: 0)
        self.routes = Routes(self.postgres.topology)
        accounts = MemoryAccounts(self.postgres)
        nursery.start_soon(follow, MemoryGatewayBus(self.redis), accounts, self.routes)

    def change(self, shard_count: int) -> Topology:
        wanted = self.postgres.ask_reshard(shard_count)
        self.postgres.begin_topology(wanted.epoch)
        return wanted


async def test_a_change_that_is_announced_counts_from_the_next_message_on(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    world = World(nursery)
    await trio.sleep(0.1)
    wanted = world.change(4)
    world.redis.stir()
    await trio.testing.wait_all_tasks_blocked()
    assert world.routes.topology == wanted
    assert world.routes.slot(CHUNK) == slot_of(CHUNK, 4)


async def test_a_change_that_nobody_told_of_is_seen_within_a_second(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    world = World(nursery)
    await trio.sleep(0.1)
    wanted = world.change(4)
    await trio.sleep(GATEWAY_LOOK_SECONDS + 0.1)
    assert world.routes.topology == wanted


async def test_what_is_only_wanted_does_not_count(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    world = World(nursery)
    world.postgres.ask_reshard(4)
    world.redis.stir()
    await trio.sleep(3)
    assert world.routes.topology.shard_count == 1


async def test_without_redis_or_postgres_it_goes_on_by_what_it_knows_and_learns_later(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    world = World(nursery)
    await trio.sleep(0.1)
    world.redis.down = world.postgres.down = True
    wanted = world.change(4)
    await trio.sleep(5)
    assert world.routes.topology.shard_count == 1
    world.postgres.down = False
    await trio.sleep(GATEWAY_LOOK_SECONDS + 0.1)
    assert world.routes.topology == wanted


def test_an_older_topology_is_not_gone_back_to() -> None:
    routes = Routes(Topology(3, 4))
    routes.learn(Topology(2, 2))
    assert routes.topology == Topology(3, 4)
