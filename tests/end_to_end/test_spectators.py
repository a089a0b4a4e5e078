"""People watch a real world: the event stream, and the same as WebSocket frames."""

from __future__ import annotations

import json

import httpx
import pytest
import trio
from trio_websocket import ConnectionClosed

from common.frames import ChunkDelta, ChunkStatic, SpectatorReady
from common.grid import Cell, ChunkId
from ops.client import Agent, View, connect, spectate
from tests.end_to_end.cluster import Cluster
from tests.end_to_end.stranger import socket_to
from tests.end_to_end.test_agents import floor_cell_near, until

pytestmark = pytest.mark.cluster

HOME = ChunkId("0:0")
NEIGHBOURS = [ChunkId(f"{x}:{y}") for y in (-1, 0, 1) for x in (-1, 0, 1)]


async def test_a_spectator_gets_each_chunk_whole_and_then_every_change(
    cluster: Cluster, name: str
) -> None:
    view = View()
    heard: list[str] = []

    async def watch(started: trio.Event) -> None:
        async with spectate(cluster.url(1), NEIGHBOURS) as events:
            async for event in events:
                heard.append(event.frame.type)
                if isinstance(event.frame, ChunkStatic | ChunkDelta):
                    assert event.id
                    view.see(event.frame)
                if len(view.replicas) == len(NEIGHBOURS):
                    started.set()

    with trio.fail_after(60):
        async with connect(cluster.url(0), name) as agent, trio.open_nursery() as nursery:
            started = trio.Event()
            nursery.start_soon(watch, started)
            await started.wait()
            goal = floor_cell_near(agent, 8)
            await agent.move_to(goal.x, goal.y)
            await until(lambda: place_of(view, agent) == goal)
            nursery.cancel_scope.cancel()
    assert heard[: len(NEIGHBOURS) + 1].count("session_ready") == 1
    assert "chunk_delta" in heard


async def test_the_stream_can_be_taken_up_where_it_was_lost_on_another_gateway(
    cluster: Cluster, name: str
) -> None:
    with trio.fail_after(60):
        async with connect(cluster.url(0), name) as agent:
            view, last = View(), ""
            async with spectate(cluster.url(0), [HOME]) as events:
                async for event in events:
                    last = event.id or last
                    if isinstance(event.frame, ChunkStatic | ChunkDelta):
                        view.see(event.frame)
                        break
            goal = floor_cell_near(agent, 4)
            await agent.move_to(goal.x, goal.y)
            async with spectate(cluster.url(1), [HOME], last_event_id=last) as events:
                async for event in events:
                    match event.frame:
                        case SpectatorReady(resumed=resumed):
                            assert resumed
                        case ChunkDelta():
                            view.see(event.frame)  # Raises when anything is missing.
                        case _:
                            raise AssertionError(f"{event.frame.type} instead of what was missed")
                    if place_of(view, agent) == goal:
                        break


async def test_the_web_socket_fallback_is_the_same_stream_and_read_only(cluster: Cluster) -> None:
    url = cluster.url() + "/v1/spectate/ws?chunks=0:0"
    with trio.fail_after(20):
        async with socket_to(url) as socket:
            first = json.loads(await socket.get_message())
            second = json.loads(await socket.get_message())
            assert (first["event"], second["event"]) == ("session_ready", "chunk_static")
            assert second["data"]["chunk"] == "0:0"
            await socket.send_message("hello")
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    await socket.get_message()
            assert closed.value.reason is not None
            assert (closed.value.reason.code, closed.value.reason.reason) == (1008, "read_only")


async def test_watching_is_read_only_and_bounded(cluster: Cluster) -> None:
    async with httpx.AsyncClient(base_url=cluster.url(), trust_env=False) as http:
        answer = await http.post("/v1/spectate?chunks=0:0")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, OPTIONS")
        for query in (
            "",
            "chunks=",
            "chunks=a:b",
            "chunks=00:0",
            "chunks=" + ",".join(["0:0"] * 26),
        ):
            answer = await http.get(f"/v1/spectate?{query}")
            assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed"), query


async def test_watching_an_empty_place_shows_its_ground_and_creates_nothing(
    cluster: Cluster,
) -> None:
    async with httpx.AsyncClient(base_url=cluster.url(), trust_env=False) as http:
        before = (await http.get("/v1/world")).json()["active_chunks"]
        with trio.fail_after(20):
            async with spectate(cluster.url(), [ChunkId("300:-200")]) as events:
                async for event in events:
                    if isinstance(event.frame, ChunkStatic):
                        assert event.frame.entities == []
                        assert "." in event.frame.terrain[25]
                        break
        await trio.sleep(1.5)  # Two beats of a shard.
        assert (await http.get("/v1/world")).json()["active_chunks"] <= before


def place_of(view: View, agent: Agent) -> Cell | None:
    entities = [replica.entities.get(agent.id) for replica in view.replicas.values()]
    return next((Cell(entity.x, entity.y) for entity in entities if entity), None)
