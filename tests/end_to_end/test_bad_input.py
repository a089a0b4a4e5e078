"""Clients that are broken or hostile get a clear refusal, and nobody else notices them."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import trio

from ops.client import connect
from tests.end_to_end.cluster import Cluster
from tests.end_to_end.stranger import joined, signed_up

pytestmark = pytest.mark.cluster

BAD_BODIES: list[tuple[bytes, str, int, str]] = [
    (b"{", "application/json", 422, "validation_failed"),
    (b"[]", "application/json", 422, "validation_failed"),
    (b'{"name": 3}', "application/json", 422, "validation_failed"),
    (b'{"name": "a"}', "application/json", 422, "validation_failed"),
    (b'{"name": "with space"}', "application/json", 422, "validation_failed"),
    (b'{"name": "fine-name", "more": 1}', "application/json", 422, "validation_failed"),
    (b"\xff\xfe", "application/json", 422, "validation_failed"),
    (b'{"name": "\\ud800abc"}', "application/json", 422, "validation_failed"),
    (b"[" * 50_000, "application/json", 422, "validation_failed"),
    (b'{"name": "fine-name"}', "text/plain", 415, "unsupported_media_type"),
    (b'"' + b"x" * 70_000 + b'"', "application/json", 413, "too_large"),
]


@pytest.mark.parametrize(("body", "kind", "status", "code"), BAD_BODIES)
async def test_a_bad_body_is_refused_as_a_problem(
    cluster: Cluster, body: bytes, kind: str, status: int, code: str
) -> None:
    async with httpx.AsyncClient(base_url=cluster.url(), trust_env=False) as http:
        answer = await http.post("/v1/signup", content=body, headers={"content-type": kind})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["content-type"] == "application/problem+json"
        assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "token",
    [
        "",
        "Bearer",
        "Bearer x",
        "Basic abc",
        "Bearer tsk_a_b",
        "Bearer " + "x" * 5000,
        "Bearer \xff",
    ],
)
async def test_a_bad_token_is_always_the_same_401(cluster: Cluster, token: str) -> None:
    async with httpx.AsyncClient(base_url=cluster.url(), trust_env=False) as http:
        headers = [(b"Authorization", token.encode("latin-1"))] if token else []
        answer = await http.get("/v1/keys", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


BAD_COMMANDS: list[Any] = [
    {"name": "move_to", "x": 1},
    {"name": "move_to", "x": 1.5, "y": 0},
    {"name": "move_to", "x": 2**31 + 1, "y": 0},
    {"name": "move_to", "x": 10**400, "y": 0},
    {"name": "move_to", "x": True, "y": 0},
    {"name": "say", "text": ""},
    {"name": "say", "text": "x" * 281},
    {"name": "wait", "ticks": 0},
    {"name": "wait", "ticks": 51},
    {"name": "fly"},
    {"name": "say", "text": "hi", "loud": True},
    {},
]


async def test_a_bad_command_with_a_good_id_is_acked_as_validation_failed(
    cluster: Cluster, name: str
) -> None:
    async with joined(cluster.url(), name) as agent:
        for number, command in enumerate(BAD_COMMANDS):
            await agent.send({"type": "command_req", "id": f"c-{number}", "command": command})
            ack = await agent.next_for(f"c-{number}", "ack", "challenge")
            assert (ack["type"], ack.get("code")) == ("ack", "validation_failed"), command


async def test_frames_without_sense_get_an_error_and_the_fifth_bad_one_closes(
    cluster: Cluster, name: str
) -> None:
    async with joined(cluster.url(), name) as agent:
        for frame in ({"type": "cancel"}, {"type": "command_req", "id": "a b", "command": {}}):
            await agent.send(frame)
            assert (await agent.next("error"))["type"] == "error"
        for bad in ("{", "[]", '{"type": "dance"}', "\x00"):
            await agent.send(bad)
            await agent.next("error")
        await agent.socket.send_message(b"binary")
        assert await agent.close_code() == 1008


async def test_a_frame_that_is_too_big_closes_with_1009(cluster: Cluster, name: str) -> None:
    async with joined(cluster.url(), name) as agent:
        await agent.send(json.dumps({"type": "cancel", "id": "x" * 20_000}))
        assert await agent.close_code() == 1009


async def test_a_request_that_drips_is_ended(cluster: Cluster) -> None:
    """One byte a second would hold a connection for ever; both head and body have a deadline."""
    heads = (
        b"GET / HTTP/1.1\r\nHost: t\r\nX: ",
        (
            b"POST /v1/signup HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000\r\n\r\n"
        ),
    )

    async def drip(head: bytes) -> None:
        stream = await trio.open_tcp_stream("127.0.0.1", cluster.port)
        async with stream:
            await stream.send_all(head)
            with trio.fail_after(30):
                try:
                    while not await ended(stream):
                        await stream.send_all(b"x")
                except trio.BrokenResourceError:
                    return

    async with trio.open_nursery() as nursery:
        for head in heads:
            nursery.start_soon(drip, head)


async def ended(stream: trio.SocketStream) -> bool:
    """Whether the server closes within a second (an answer before that is read over)."""
    with trio.move_on_after(1):
        while await stream.receive_some(4096):
            pass
        return True
    return False


async def test_readers_that_never_read_cost_nobody_anything(cluster: Cluster, name: str) -> None:
    async with connect(cluster.url(), name) as agent:
        streams = []
        for _ in range(20):
            stream = await trio.open_tcp_stream("127.0.0.1", cluster.port)
            await stream.send_all(b"GET /v1/spectate?chunks=0:0 HTTP/1.1\r\nHost: t\r\n\r\n")
            streams.append(stream)
        for _ in range(5):
            with trio.fail_after(2):
                await agent.wait(1)
        for stream in streams:
            await stream.aclose()


async def test_a_foreign_session_cannot_sign_for_another(cluster: Cluster, name: str) -> None:
    async with (
        joined(cluster.url(), f"{name}-a") as one,
        joined(cluster.url(), f"{name}-b") as other,
    ):
        ack = await other.ask_at_once("c-1", {"name": "wait", "ticks": 1}, one.ready["challenge"])
        assert (ack["status"], ack["code"]) == ("rejected", "challenge_unknown")


async def test_a_closed_connection_in_the_middle_of_a_command_disturbs_nobody(
    cluster: Cluster, name: str
) -> None:
    async with connect(cluster.url(), f"{name}-a") as agent:
        for number in range(5):
            async with joined(cluster.url(), f"{name}-x{number}") as guest:
                await guest.send({"type": "command_req", "id": "c", "command": {"name": "wait"}})
                await guest.socket.aclose()
        assert (await agent.wait(1)).status == "completed"


async def test_no_answer_ever_was_a_server_error(cluster: Cluster, name: str) -> None:
    """After all of the above the gateway's own count of 500s is zero."""
    await signed_up(cluster.url(), name)
    for n in range(2):
        port = cluster.told("gateway", n)["metrics_port"]
        async with httpx.AsyncClient(trust_env=False) as http:
            text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
        counts = [line for line in text.splitlines() if 'status="500"' in line]
        assert counts, "each is shown from the start"
        assert [line for line in counts if not line.endswith(" 0.0")] == []
