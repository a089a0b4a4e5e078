"""What the stack is and lets through. Needs a Docker engine: ``make test-compose``."""

from __future__ import annotations

import json
from contextlib import closing
from http.client import HTTPConnection

import httpx
import httpx_sse
import pytest
import trio
from trio_websocket import open_websocket_url

from common.grid import CHUNK_SIZE, ChunkId
from ops.client import connect, spectate
from tests.compose.stack import LASTING, SPECTATORS_PER_ADDRESS, Stack

pytestmark = [pytest.mark.compose, pytest.mark.usefixtures("left_as_it_was")]


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
    secrets = {path.name: path.read_text().strip() for path in stack.secrets.iterdir()}
    assert {"postgres-password", "hashing-key", "hashing-key-previous"} <= secrets.keys()
    assert all(len(secret) > 30 for secret in secrets.values())
    for each in stack.containers():
        told = json.dumps(each.about)
        shown = [name for name, secret in secrets.items() if secret in told]
        assert shown == [], each.service


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
