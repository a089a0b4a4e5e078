from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio

from common.events import Left
from common.grid import AgentId
from common.limits import FEED_LINGER_SECONDS
from tests.gateway.stream.scripted import HERE, THERE, Ear, a_scene, arrival, soon, step


def place(house: Any, agent_id: str, **changes: Any) -> None:
    account = house.postgres.agents[agent_id]
    house.postgres.agents[agent_id] = attrs.evolve(account, **changes)


async def show(house: Any, agent_id: str) -> Any:
    response = await house.call("GET", f"/v1/agents/{agent_id}")
    assert response.status_code == 200
    return await response.get_json()


async def test_a_new_agent_is_not_in_the_world_yet(house: Any, autojump_clock: Any) -> None:
    agent = await house.sign_up()
    assert await show(house, agent["agent_id"]) == {
        "agent_id": agent["agent_id"],
        "name": "Ada",
        "online": False,
        "chunk": "0:0",
        "created_at": "2026-01-01T00:00:00.000Z",
    }


async def test_an_agent_that_left_is_shown_where_it_stood(house: Any, autojump_clock: Any) -> None:
    agent = await house.sign_up()
    place(house, agent["agent_id"], chunk="-1:2", x=-3, y=120)
    shown = await show(house, agent["agent_id"])
    assert (shown["online"], shown["chunk"]) == (False, "-1:2")
    assert shown["position"] == {"x": -3, "y": 120}


async def test_an_agent_that_is_online_is_shown_where_the_feed_of_its_chunk_has_it(
    house: Any, autojump_clock: Any
) -> None:
    async with a_scene() as scene:
        house.outside = attrs.evolve(house.outside, whereabouts=scene.feeds)
        agent = (await house.sign_up())["agent_id"]
        place(house, agent, x=3, y=4, present=True)
        ear = Ear()
        scene.feeds.listen(HERE, ear)
        await soon()
        assert "position" not in await show(house, agent), "it has not come yet"
        await scene.shard.say(1, arrival(agent))
        await scene.shard.say(2, step(agent, x=7, y=8))
        await soon()
        assert (await show(house, agent))["position"] == {"x": 7, "y": 8}
        await scene.shard.say(3, Left(AgentId(agent), "moved", THERE))
        await soon()
        assert "position" not in await show(house, agent)
        scene.feeds.leave(HERE, ear)
        await trio.sleep(2 * FEED_LINGER_SECONDS)
        assert "position" not in await show(house, agent)


async def test_a_position_that_is_not_exact_is_not_shown(house: Any, autojump_clock: Any) -> None:
    agent = await house.sign_up()
    place(house, agent["agent_id"], x=3, y=4, present=True)
    shown = await show(house, agent["agent_id"])
    assert shown["online"] is True
    assert "position" not in shown


@pytest.mark.parametrize("agent_id", ["agt_1", "%00", "a" * 100, "..", "ä"])
async def test_an_unknown_agent_is_not_found(
    house: Any, autojump_clock: Any, agent_id: str
) -> None:
    response = await house.call("GET", f"/v1/agents/{agent_id}")
    problem = await response.get_json(force=True)
    assert (response.status_code, problem["code"]) == (404, "not_found")
