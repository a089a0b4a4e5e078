from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio
from trio.testing import MockClock

from common.adapters.memory_gateway_bus import MemoryGatewayBus
from common.adapters.memory_redis import MemoryRedis
from common.grid import Slot
from common.limits import VACANCY_LOOK_SECONDS
from common.topology import Topology
from gateway.metrics import REGISTRY, SLOTS
from gateway.topology import Routes
from gateway.vacancy import keep_counted

LOOKED = VACANCY_LOOK_SECONDS + 0.1


@pytest.fixture(autouse=True)
def unknown() -> Iterator[None]:
    SLOTS.clear()
    yield
    SLOTS.clear()


def shown() -> tuple[float | None, float | None]:
    """Held, and in force."""
    held, in_force = (
        REGISTRY.get_sample_value("tessera_slots", {"state": state})
        for state in ("held", "in_force")
    )
    return held, in_force


class World:
    def __init__(self, nursery: trio.Nursery, *, down: bool = False) -> None:
        self.redis = MemoryRedis()
        self.redis.down = down
        self.routes = Routes(Topology(1, 2))
        nursery.start_soon(keep_counted, MemoryGatewayBus(self.redis), self.routes)

    def hold(self, *slots: int) -> None:
        self.redis.leases.clear()
        for slot in slots:
            self.redis.leases[Slot(slot)] = ("somebody", self.redis.now_ms() + 60_000)


async def test_a_slot_that_nobody_holds_is_missing_from_those_held(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    world = World(nursery)
    world.hold(0, 1)
    await trio.sleep(0.1)
    assert shown() == (2, 2)
    world.hold(1)
    await trio.sleep(LOOKED)
    assert shown() == (1, 2)
    world.hold(0, 1)
    await trio.sleep(LOOKED)
    assert shown() == (2, 2)


async def test_a_slot_that_is_being_emptied_makes_up_for_none(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    world = World(nursery)
    world.hold(0, 2, 3)
    await trio.sleep(0.1)
    assert shown() == (1, 2)
    world.routes.learn(Topology(2, 4))
    await trio.sleep(LOOKED)
    assert shown() == (3, 4)


async def test_without_redis_it_says_what_it_knew_and_counts_again_later(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    world = World(nursery, down=True)
    world.hold(0, 1)
    await trio.sleep(0.1)
    assert shown() == (None, None)
    world.redis.down = False
    await trio.sleep(LOOKED)
    assert shown() == (2, 2)
    world.redis.down = True
    world.hold()
    await trio.sleep(LOOKED)
    assert shown() == (2, 2)
    world.redis.down = False
    await trio.sleep(LOOKED)
    assert shown() == (0, 2)
