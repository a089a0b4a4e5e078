"""The whole stack, through the load balancer only. Needs a Docker engine; ``make test-compose``."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import httpx_sse
import pytest
import trio
from trio_websocket import open_websocket_url

from common.grid import CHUNK_SIZE, ChunkId
from ops.client import connect, spectate
from tests.compose.crowd import a_crowd, meanwhile
from tests.compose.stack import Container, Stack

pytestmark = pytest.mark.compose

OURS = ("gateway-a", "gateway-b", "shard")
LASTING = ("lb", "gateway-a", "gateway-b", "postgres", "valkey")


@pytest.fixture(autouse=True)
def _left_as_it_was(stack: Stack) -> Iterator[None]:
    yield
    stack.wait_ready()


def lives(containers: list[Container]) -> dict[str, str]:
    """By id, since when: another life is another entry."""
    return {each.id: each.started_at for each in containers}


# What it is


def test_nobody_is_root_and_no_file_system_can_be_written(stack: Stack) -> None:
    containers = stack.containers()
    assert {each.service for each in containers} >= {*LASTING, "shard", "migrate", "topology"}
    for each in containers:
        host = each.about["HostConfig"]
        assert each.about["Config"]["User"] not in ("", "root", "0"), each.service
        assert host["ReadonlyRootfs"], each.service
        assert host["CapDrop"] == ["ALL"], each.service
        assert host["Memory"] > 0, each.service
        assert host["NanoCpus"] > 0, each.service
        assert host["PidsLimit"] > 0, each.service


def test_no_password_is_in_an_environment_or_a_command_line(stack: Stack) -> None:
    passwords = [
        (stack.secrets / name).read_text().strip()
        for name in ("postgres-password", "redis-password")
    ]
    for each in stack.containers():
        told = json.dumps(each.about)
        assert not any(password in told for password in passwords), each.service


def test_only_the_load_balancer_can_be_reached_from_outside(stack: Stack) -> None:
    for each in stack.containers():
        bindings = each.about["HostConfig"]["PortBindings"] or {}
        assert bool(bindings) == (each.service == "lb"), each.service


# What comes through


async def test_an_agent_acts_and_a_spectator_sees_it_within_a_tick_or_two(stack: Stack) -> None:
    async with connect(stack.url, "ada") as agent:
        chunk = ChunkId(f"{agent.position.x // CHUNK_SIZE}:{agent.position.y // CHUNK_SIZE}")
        async with spectate(stack.url, [chunk]) as events:
            with trio.fail_after(20):
                await events.receive()
                began = trio.current_time()
                await agent.say("here I am")
                async for event in events:
                    if "here I am" in str(event.frame):
                        break
    # Nothing on the way waits for more: an event alone is far smaller than any buffer.
    assert trio.current_time() - began < 2.0


async def test_spectators_may_come_by_websocket(stack: Stack) -> None:
    url = stack.url.replace("http", "ws") + "/v1/spectate/ws?chunks=0:0"
    with trio.fail_after(20):
        async with open_websocket_url(url) as socket:
            said = json.loads(await socket.get_message())
    assert said["data"]["type"] == "session_ready"


async def test_a_quiet_stream_is_not_cut_off(stack: Stack) -> None:
    """A chunk in which nothing happens says something every 10 s, to the load balancer too."""
    heard = 0
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        with trio.move_on_after(25):
            params = {"chunks": "900:900"}
            async with httpx_sse.aconnect_sse(
                client, "GET", f"{stack.url}/v1/spectate", params=params
            ) as source:
                async for line in source.response.aiter_lines():
                    heard += line.startswith(":")
            pytest.fail("the stream ended")
    assert heard >= 2


def test_clients_are_told_apart_by_their_own_address(stack: Stack) -> None:
    """What the load balancer says of them is believed; what they say themselves is not."""
    httpx.get(f"{stack.url}/v1/world", headers={"X-Forwarded-For": "192.0.2.7"}, trust_env=False)
    (subnet,) = {"172.31.252."}
    said = stack.compose("logs", "--no-color", "gateway-a", "gateway-b")
    addresses = {
        json.loads(line[line.index("{") :]).get("address")
        for line in said.splitlines()
        if '"path": "/v1/world"' in line
    }
    assert addresses
    assert all(address.startswith(subnet) for address in addresses), addresses


# What happens to it


async def test_the_number_of_shards_changes_while_the_world_runs(stack: Stack) -> None:
    async with a_crowd(stack.url, "reshard") as crowd:
        before = lives(await meanwhile(stack.containers, *LASTING))
        first_two = lives(await meanwhile(stack.containers, "shard"))
        for count in (4, 1, 2):
            await meanwhile(stack.up, count)
            await meanwhile(stack.wait_until, lambda count=count: shard_count(stack) == count, 60.0)
            await meanwhile(stack.wait_ready)
            await crowd.see_it_go_on()
            shards = lives(await meanwhile(stack.containers, "shard"))
            assert len(shards) == count
            assert len(shards.keys() & first_two.keys()) >= min(count, 1)
            assert all(first_two.get(id, since) == since for id, since in shards.items())
        assert lives(await meanwhile(stack.containers, *LASTING)) == before


def shard_count(stack: Stack) -> int | None:
    answer = stack.get("/v1/world")
    if answer is None or answer.status_code != 200:
        return None
    count: int = answer.json()["shard_count"]
    return count


async def test_agents_resume_on_the_other_gateway(stack: Stack) -> None:
    async with a_crowd(stack.url, "gateway") as crowd:
        resumed = sum(player.ledger.resumed for player in crowd.players)
        await meanwhile(stack.compose, "stop", "gateway-a")
        await crowd.see_it_go_on()
        assert sum(player.ledger.resumed for player in crowd.players) > resumed
        await meanwhile(stack.compose, "start", "gateway-a")
        await meanwhile(stack.wait_ready)


async def test_a_shard_that_dies_is_missed_for_seconds(stack: Stack) -> None:
    async with a_crowd(stack.url, "shard") as crowd:
        victim, *_ = await meanwhile(stack.containers, "shard")
        await meanwhile(stack.kill_in, victim)
        await crowd.see_it_go_on()
        await meanwhile(stack.wait_ready)
        (again,) = [
            each for each in await meanwhile(stack.containers, "shard") if each.id == victim.id
        ]
        assert again.started_at != victim.started_at


@pytest.mark.parametrize("server", ["valkey", "postgres"])
async def test_a_server_that_restarts_is_missed_for_seconds(stack: Stack, server: str) -> None:
    async with a_crowd(stack.url, server) as crowd:
        sessions = {player.name: player.ledger.session for player in crowd.players}
        await meanwhile(stack.compose, "restart", server)
        await crowd.see_it_go_on()
        assert {player.name: player.ledger.session for player in crowd.players} == sessions


def test_stopping_is_in_order(stack: Stack) -> None:
    """The last one: everything ends by itself, within its grace, and comes back as it was."""
    stack.compose("stop", *OURS)
    assert {each.exit_code for each in stack.containers(*OURS)} == {0}
    stack.compose("start", *OURS)
