from __future__ import annotations

from typing import Any

from common.bus import GatewayBeat, SlotBeat
from common.grid import GatewayId, Slot


async def figures(house: Any) -> Any:
    response = await house.call("GET", "/v1/world")
    assert response.status_code == 200
    return await response.get_json()


async def test_the_world_is_shown_in_figures(house: Any, autojump_clock: Any) -> None:
    house.redis.slot_beats[Slot(0)] = (house.redis.now_ms(), SlotBeat("a", 3, 2, 0.0))
    house.redis.gateway_beats[GatewayId("g")] = (house.redis.now_ms(), GatewayBeat(2, 7))
    assert await figures(house) == {
        "world_id": "wld_memory",
        "tick_hz": 5,
        "chunk_size": 50,
        "active_chunks": 3,
        "agents_online": 0,
        "spectators": 7,
        "shard_count": 2,
        "protocol": 1,
    }


async def test_the_figures_are_at_most_a_second_old(house: Any, autojump_clock: Any) -> None:
    assert (await figures(house))["spectators"] == 0
    house.redis.gateway_beats[GatewayId("g")] = (house.redis.now_ms(), GatewayBeat(0, 7))
    assert (await figures(house))["spectators"] == 0
    autojump_clock.jump(1.0)
    assert (await figures(house))["spectators"] == 7


async def test_without_redis_there_are_no_figures(house: Any, autojump_clock: Any) -> None:
    house.redis.down = True
    response = await house.call("GET", "/v1/world")
    assert response.status_code == 503
