"""The whole stack, through the load balancer only. Needs a Docker engine; ``make test-compose``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import httpx_sse
import pytest
import trio
from trio_websocket import open_websocket_url

from common.grid import CHUNK_SIZE, ChunkId
from ops.client import connect, spectate
from tests.compose.crowd import a_crowd, meanwhile, timed
from tests.compose.stack import APP_IMAGE, SPECTATORS_PER_ADDRESS, Container, Stack, tag

pytestmark = pytest.mark.compose

SHARDS = 2
OURS = ("gateway-a", "gateway-b", "shard")
LASTING = ("lb", "gateway-a", "gateway-b", "postgres", "valkey")


@pytest.fixture(autouse=True)
def _left_as_it_was(stack: Stack) -> Iterator[None]:
    yield
    if stack.shards != SHARDS:
        stack.up(SHARDS)
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


async def test_nobody_can_invent_an_address(stack: Stack) -> None:
    """Each gateway lets so many spectators in from one address, whatever they say it is."""
    refused = 0
    async with trio.open_nursery() as nursery, httpx.AsyncClient(trust_env=False) as client:

        async def watch(n: int, task_status: trio.TaskStatus[int]) -> None:
            forged = {"X-Forwarded-For": f"192.0.2.{n}"}
            url = f"{stack.url}/v1/spectate?chunks=0:0"
            async with client.stream("GET", url, headers=forged, timeout=20) as answer:
                task_status.started(answer.status_code)
                await trio.sleep_forever()

        for n in range(2 * SPECTATORS_PER_ADDRESS + 5):
            refused += await nursery.start(watch, n) == 429
        nursery.cancel_scope.cancel()
    # Of two gateways, however the streams were shared out; forged ones would all be let in.
    assert refused >= 5


def test_operators_come_from_their_networks_alone(stack: Stack) -> None:
    assert ops_status(stack) == 401, "from this machine"
    # As if this machine were a proxy in front, and operators somewhere else.
    stack.names |= {"OUTER_PROXIES": "172.31.252.1", "OPERATORS_FROM": "192.0.2.0/24"}
    try:
        stack.compose("up", "-d", "--no-deps", "lb")
        stack.wait_ready()
        for path in ("/ops/topology", "/%6fps/topology", "/OPS/topology", "/ops"):
            assert ops_status(stack, path) == 403, path
        assert ops_status(stack, said="192.0.2.7") == 401
        assert ops_status(stack, said="192.0.2.7, 203.0.113.9") == 403, "it says that itself"
        assert ops_status(stack, "/v1/world", "203.0.113.9") == 200
    finally:
        del stack.names["OUTER_PROXIES"], stack.names["OPERATORS_FROM"]
        stack.compose("up", "-d", "--no-deps", "lb")
        stack.wait_ready()


def ops_status(stack: Stack, path: str = "/ops/topology", said: str | None = None) -> int:
    """Without a token. ``path`` goes over the wire as it is."""
    connection = HTTPConnection("127.0.0.1", stack.port, timeout=5)
    with closing(connection):
        connection.request("GET", path, headers={"X-Forwarded-For": said} if said else {})
        return connection.getresponse().status


# What happens to it


async def test_the_number_of_shards_changes_while_the_world_runs(stack: Stack) -> None:
    async with a_crowd(stack.url, "reshard") as crowd:
        before = lives(await meanwhile(stack.containers, *LASTING))
        first_two = lives(await meanwhile(stack.containers, "shard"))
        for count in (4, 1, 2):
            await crowd.go_on_through(f"to {count} shards", stack.up, count)
            await meanwhile(stack.wait_until, lambda count=count: shard_count(stack) == count, 60.0)
            await meanwhile(stack.wait_ready)
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
        await crowd.go_on_through("a gateway stops", stack.compose, "stop", "gateway-a")
        assert sum(player.ledger.resumed for player in crowd.players) > resumed
        await crowd.go_on_through("it comes back", stack.compose, "start", "gateway-a")
        await meanwhile(stack.wait_ready)


async def test_a_shard_that_dies_is_missed_for_seconds(stack: Stack) -> None:
    async with a_crowd(stack.url, "shard") as crowd:
        victim, *_ = await meanwhile(stack.containers, "shard")
        await crowd.go_on_through("a shard is killed", stack.kill_in, victim)
        await meanwhile(stack.wait_ready)
        (again,) = [
            each for each in await meanwhile(stack.containers, "shard") if each.id == victim.id
        ]
        assert again.started_at != victim.started_at


@pytest.mark.parametrize("server", ["valkey", "postgres"])
async def test_a_server_that_restarts_is_missed_for_seconds(stack: Stack, server: str) -> None:
    async with a_crowd(stack.url, server) as crowd:
        sessions = {player.name: player.ledger.session for player in crowd.players}
        await crowd.go_on_through(f"{server} restarts", stack.compose, "restart", server)
        assert {player.name: player.ledger.session for player in crowd.players} == sessions


async def test_another_image_is_rolled_in_while_the_world_runs(stack: Stack) -> None:
    next_image = f"{APP_IMAGE}-next"
    await meanwhile(tag, stack.names["APP_IMAGE"], next_image)
    stack.names["APP_IMAGE"] = next_image
    others = lives(await meanwhile(stack.containers, "lb", "postgres", "valkey"))
    async with a_crowd(stack.url, "roll") as crowd:
        await crowd.go_on_through("two shards and two gateways are rolled", stack.script, "roll.sh")
    containers = await meanwhile(stack.containers, *OURS)
    assert len(containers) == 4
    assert {each.about["Config"]["Image"] for each in containers} == {next_image}
    assert lives(await meanwhile(stack.containers, "lb", "postgres", "valkey")) == others


async def test_a_dump_brings_the_world_back(stack: Stack, tmp_path: Path) -> None:
    keys, file = tmp_path / "keys.json", tmp_path / "world.dump"
    async with connect(stack.url, "eve", keys=keys) as agent:
        await agent.say("before")
        who = agent.id
    await timed("a dump", stack.script, "dump.sh", str(file))
    async with connect(stack.url, "late", keys=tmp_path / "late.json") as agent:
        await agent.say("after")
        late = agent.id

    await timed("a restore", stack.script, "restore.sh", str(file))
    await timed("until all is ready", stack.wait_ready)

    assert status(stack, f"/v1/agents/{who}") == 200
    assert status(stack, f"/v1/agents/{late}") == 404
    async with connect(stack.url, "eve", keys=keys) as agent:
        assert agent.id == who
    async with a_crowd(stack.url, "restored"):
        pass


def status(stack: Stack, path: str) -> int | None:
    answer = stack.get(path)
    return None if answer is None else answer.status_code


# Who watches over it


def test_prometheus_finds_everybody_and_knows_the_rules(stack: Stack) -> None:
    stack.compose("--profile", "monitoring", "up", "-d", "prometheus")
    try:
        stack.wait_until(lambda: jobs(stack) == JOBS, 60.0)
        rules = asked(stack, "rules")["groups"]
        assert sum(len(group["rules"]) for group in rules) > 10
    finally:
        stack.compose("--profile", "monitoring", "rm", "--force", "--stop", "prometheus")


JOBS = {"gateway": 2, "shard": 2, "lb": 1, "prometheus": 1}


def jobs(stack: Stack) -> dict[str, int]:
    """How many of each are up."""
    answer = asked(stack, "query", query="sum by (job) (up)")
    return {each["metric"]["job"]: int(each["value"][1]) for each in answer.get("result", ())}


def asked(stack: Stack, what: str, **about: str) -> dict[str, Any]:
    try:
        answer = httpx.get(
            f"{stack.prometheus_url}/api/v1/{what}", params=about, timeout=5, trust_env=False
        )
    except httpx.TransportError:
        return {}
    data: dict[str, Any] = answer.json().get("data", {})
    return data


def test_stopping_is_in_order(stack: Stack) -> None:
    """The last one: everything ends by itself, within its grace, and comes back as it was."""
    stack.compose("stop", *OURS)
    assert {each.exit_code for each in stack.containers(*OURS)} == {0}
    stack.compose("start", *OURS)
