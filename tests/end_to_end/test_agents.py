"""Agents act in a real world through real sockets, with the reference client."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
import trio

from common.events import Entered, Said
from common.frames import Position
from common.grid import CHUNK_SIZE, AgentId, Cell, chunk_coordinates, slot_of
from ops.client import Agent, Failed, Rejected, SessionOver, connect, open_session, sign_up
from ops.client.account import open_http
from tests.end_to_end.cluster import Cluster

pytestmark = pytest.mark.cluster

WALK_SECONDS_MAX = 60.0


async def test_an_agent_walks_to_where_it_was_told(cluster: Cluster, name: str) -> None:
    with trio.fail_after(WALK_SECONDS_MAX):
        async with connect(cluster.url(), name) as agent:
            goal = floor_cell_near(agent, 6)
            result = await agent.move_to(goal.x, goal.y)
            assert result.status == "completed"
            assert result.position == Position(goal.x, goal.y)
            await until(lambda: agent.position == Position(goal.x, goal.y))


async def test_what_is_said_is_heard_in_the_chunk_on_any_gateway(
    cluster: Cluster, name: str
) -> None:
    with trio.fail_after(WALK_SECONDS_MAX):
        async with (
            connect(cluster.url(0), f"{name}-a") as one,
            connect(cluster.url(1), f"{name}-b") as other,
        ):
            await one.say("tessera")
            while True:
                event = await other.next_event()
                if isinstance(event, Said) and event.id == one.id:
                    assert event.text == "tessera"
                    return


async def test_what_is_said_is_heard_as_it_was_sent_whatever_it_is_made_of(
    cluster: Cluster, name: str
) -> None:
    texts = [
        "two\nlines",
        "\x00",
        "\x1b[31m",
        "\x07\x0f'\"\\/",
        "\x85\u2028\u202e",
        "\U0001f600" * 280,
    ]
    with trio.fail_after(WALK_SECONDS_MAX):
        async with connect(cluster.url(), name) as agent:
            for text in texts:
                assert (await agent.say(text)).status == "completed"
            heard: list[str] = []
            while len(heard) < len(texts):
                event = await agent.next_event()
                if isinstance(event, Said) and event.id == agent.id:
                    heard.append(event.text)
            assert heard == texts


async def test_an_agent_walks_into_chunks_of_both_shards_and_back(
    cluster: Cluster, name: str
) -> None:
    with trio.fail_after(WALK_SECONDS_MAX):
        async with connect(cluster.url(), name) as agent:
            visited = [slot_of_agent(agent)]
            for x in (CHUNK_SIZE, CHUNK_SIZE - 1):
                await walk_across(agent, x)
                visited.append(slot_of_agent(agent))
                await until(lambda: agent.view is not None and agent.id in agent.view.entities)
            assert visited == [0, 1, 0]


async def test_two_agents_never_stand_on_one_cell(cluster: Cluster, name: str) -> None:
    with trio.fail_after(WALK_SECONDS_MAX):
        async with (
            connect(cluster.url(), f"{name}-a") as one,
            connect(cluster.url(), f"{name}-b") as other,
        ):
            goal = floor_cell_near(one, 4)

            async def go(agent: Agent) -> None:
                try:
                    await agent.move_to(goal.x, goal.y)
                except Failed as failed:
                    assert failed.reason == "blocked"

            async with trio.open_nursery() as nursery:
                nursery.start_soon(go, one)
                nursery.start_soon(go, other)
            assert one.position != other.position


async def test_a_second_command_is_in_flight_but_say_is_not(cluster: Cluster, name: str) -> None:
    with trio.fail_after(WALK_SECONDS_MAX):
        async with connect(cluster.url(), name) as agent, trio.open_nursery() as nursery:
            nursery.start_soon(agent.wait, 15)
            await trio.sleep(0.5)
            with pytest.raises(Rejected, match="in_flight"):
                await agent.wait(1)
            assert (await agent.say("still here")).status == "completed"


async def test_a_cancelled_command_fails_as_cancelled_and_the_next_one_is_taken(
    cluster: Cluster, name: str
) -> None:
    with trio.fail_after(WALK_SECONDS_MAX):
        async with connect(cluster.url(), name) as agent:
            with trio.move_on_after(0.5):
                await agent.wait(50)
            await trio.sleep(0.5)
            assert (await agent.wait(1)).status == "completed"


async def test_bad_goals_are_refused_before_anything_happens(cluster: Cluster, name: str) -> None:
    with trio.fail_after(WALK_SECONDS_MAX):
        async with connect(cluster.url(), name) as agent:
            with pytest.raises(Rejected, match="out_of_range"):
                await agent.move_to(CHUNK_SIZE * 6, 0)
            assert agent.view is not None
            wall = next(
                (x, y)
                for y, row in enumerate(agent.view.static.terrain)
                for x, kind in enumerate(row)
                if kind != "."
            )
            cx, cy = chunk_coordinates(agent.view.static.chunk)
            with pytest.raises(Rejected, match="not_walkable"):
                await agent.move_to(cx * CHUNK_SIZE + wall[0], cy * CHUNK_SIZE + wall[1])


async def test_a_newer_session_ends_the_older_one(cluster: Cluster, name: str) -> None:
    with trio.fail_after(WALK_SECONDS_MAX):
        async with open_http(cluster.url()) as http:
            who = await sign_up(http, name)
            with pytest.raises(SessionOver) as over:
                async with connect(cluster.url(), name, credentials=who, leave=False):
                    await open_session(http, who.api_key)
                    await trio.sleep_forever()
            assert over.value.code == 4001


async def test_a_revoked_key_ends_its_session_within_two_seconds(
    cluster: Cluster, name: str
) -> None:
    with trio.fail_after(WALK_SECONDS_MAX):
        async with open_http(cluster.url(1)) as http:
            who = await sign_up(http, name)
            key_id = who.api_key.split("_")[1]
            with pytest.raises(SessionOver) as over:
                async with connect(cluster.url(0), name, credentials=who, leave=False):
                    bearer = {"Authorization": f"Bearer {who.api_key}"}
                    answer = await http.delete(f"/v1/keys/{key_id}", headers=bearer)
                    assert answer.status_code == 204
                    with trio.fail_after(2):
                        await trio.sleep_forever()
            assert over.value.code == 4003


async def test_an_agent_that_left_is_found_where_it_stood(cluster: Cluster, name: str) -> None:
    with trio.fail_after(WALK_SECONDS_MAX):
        async with open_http(cluster.url()) as http:
            who = await sign_up(http, name)
            async with connect(cluster.url(), name, credentials=who) as agent:
                goal = floor_cell_near(agent, 5)
                await agent.move_to(goal.x, goal.y)
            await until_offline(http, who.agent_id)
            async with connect(cluster.url(1), name, credentials=who) as agent:
                assert agent.position == Position(goal.x, goal.y)


async def test_everybody_else_sees_an_agent_come_and_go(cluster: Cluster, name: str) -> None:
    with trio.fail_after(WALK_SECONDS_MAX):
        async with connect(cluster.url(), f"{name}-a") as watcher:
            async with connect(cluster.url(1), f"{name}-b") as guest:
                while True:
                    event = await watcher.next_event()
                    if isinstance(event, Entered) and event.id == guest.id:
                        assert event.name == f"{name}-b"
                        break
                await until(lambda: watcher.view is not None and guest.id in watcher.view.entities)
            await until(lambda: watcher.view is not None and guest.id not in watcher.view.entities)


# What the tests above say in a word


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await trio.sleep(0.02)


async def until_offline(http: httpx.AsyncClient, agent: AgentId) -> None:
    while (await http.get(f"/v1/agents/{agent}")).json()["online"]:
        await trio.sleep(0.1)


def floor_cell_near(agent: Agent, distance: int) -> Cell:
    """A free floor cell of its chunk that lies about ``distance`` steps away."""
    assert agent.view is not None
    taken = {(entity.x, entity.y) for entity in agent.view.entities.values()}
    here = (agent.position.x, agent.position.y)
    cells = [cell for cell in floor_of(agent) if (cell.x, cell.y) not in taken]
    return min(
        cells, key=lambda cell: abs(abs(cell.x - here[0]) + abs(cell.y - here[1]) - distance)
    )


def floor_of(agent: Agent) -> list[Cell]:
    assert agent.view is not None
    cx, cy = chunk_coordinates(agent.view.static.chunk)
    return [
        Cell(cx * CHUNK_SIZE + x, cy * CHUNK_SIZE + y)
        for y, row in enumerate(agent.view.static.terrain)
        for x, kind in enumerate(row)
        if kind == "."
    ]


async def walk_across(agent: Agent, x: int) -> None:
    """Walk into the column ``x`` of the next chunk; what is floor there shows on arrival."""
    goal = Cell(x, agent.position.y)
    for y in range(agent.position.y, agent.position.y + CHUNK_SIZE):
        goal = Cell(x, y % CHUNK_SIZE)
        try:
            await agent.move_to(goal.x, goal.y)
        except (Failed, Rejected) as refusal:
            assert str(refusal) in ("unreachable", "not_walkable", "blocked")
        if Cell(agent.position.x, agent.position.y).chunk == goal.chunk:
            return
    raise AssertionError(f"no way into {goal.chunk}")


def slot_of_agent(agent: Agent) -> int:
    return slot_of(Cell(agent.position.x, agent.position.y).chunk, 2)
