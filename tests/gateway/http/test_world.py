from __future__ import annotations

from typing import Any

from common.bus import GatewayBeat
from common.grid import ChunkId, GatewayId, Slot
from common.topology import SlotBeat


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


async def test_the_active_chunks_are_listed_with_the_fullest_first(
    house: Any, autojump_clock: Any
) -> None:
    listed = {ChunkId("0:0"): 1, ChunkId("1:0"): 0}, {ChunkId("-3:2"): 9, ChunkId("-3:1"): 0}
    for slot, (chunks, busiest) in enumerate(zip((2, 300), listed, strict=True)):
        beat = SlotBeat("a", chunks, 0, 0.0, busiest)
        house.redis.slot_beats[Slot(slot)] = (house.redis.now_ms(), beat)
    response = await house.call("GET", "/v1/chunks")
    assert response.status_code == 200
    assert await response.get_json() == {
        "chunks": [
            {"chunk": "-3:2", "agents": 9},
            {"chunk": "0:0", "agents": 1},
            {"chunk": "-3:1", "agents": 0},
            {"chunk": "1:0", "agents": 0},
        ],
        "active_chunks": 302,
    }


async def test_map_and_figures_cost_one_look_at_redis_a_second(
    house: Any, autojump_clock: Any
) -> None:
    await figures(house)
    house.redis.down = True
    assert (await house.call("GET", "/v1/chunks")).status_code == 200
