"""Event streams that have left Hypercorn: real sockets, time that jumps."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Any

import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from common.limits import GRACE_SECONDS, LINGER_SECONDS
from common.settings import Settings
from tests.gateway.sockets import Client, Port, _tasks, a_port, nothing_lives
from tests.gateway.stream.scripted import arrival

GENEROUS = Settings(spectators_per_address=0)


async def test_a_stream_lives_on_without_hypercorn_and_without_a_task(calm: MockClock) -> None:
    async with a_port() as port:
        clients = [await port.watch()]
        await clients[0].until("chunk_static")
        await nothing_lives()
        before = len(_tasks())
        clients += [await port.watch() for _ in range(5)]
        for client in clients[1:]:
            await client.until("chunk_static")
        await nothing_lives()
        await trio.sleep(1)
        assert len(_tasks()) == before
        await port.scene.shard.say(3, arrival())
        for client in clients:
            await client.until("event: chunk_delta\nid: 1.3.0~0~1~0\ndata: {")
        assert port.spectators.count == 6


async def test_http_1_0_has_no_chunks_and_stays_with_hypercorn(calm: MockClock) -> None:
    async with a_port() as port:
        client = await port.client()
        await client.send("GET /v1/spectate?chunks=0:0 HTTP/1.0")
        await client.until("chunk_static")
        await port.scene.shard.say(3, arrival())
        await client.until("chunk_delta")
        assert b"chunked" not in client.got


async def test_what_the_client_says_on_is_not_read_and_does_not_matter(calm: MockClock) -> None:
    async with a_port() as port:
        client = await port.watch()
        await client.until("chunk_static")
        await client.send("GET /v1/world HTTP/1.1", b"\0" * 1000)
        await port.scene.shard.say(3, arrival())
        await client.until("chunk_delta")
        port.stop.set()
        assert (await client.end()).endswith(b"\r\n0\r\n\r\n"), "unread bytes are no reset"


async def test_a_request_in_two_pieces_with_more_behind_it_is_a_stream(calm: MockClock) -> None:
    async with a_port() as port:
        client = await port.client()
        await client.stream.send_all(b"GET /v1/spectate?chunks=0:0 HTTP/1.1\r\nHo")
        await trio.sleep(0.1)
        await client.stream.send_all(b"st: tessera.test\r\n\r\nGET / HTTP/1.1\r\n")
        await client.until("chunk_static")
        await port.scene.shard.say(3, arrival())
        await client.until("chunk_delta")


async def test_a_client_that_closes_its_half_has_gone(calm: MockClock) -> None:
    async with a_port() as port:
        client, other = await port.watch(), await port.watch()
        for each in (client, other):
            await each.until("chunk_static")
        client.stream.socket.shutdown(socket.SHUT_WR)
        while port.spectators.count == 2:
            await trio.sleep(0.01)
        await client.end()
        await port.scene.shard.say(3, arrival())
        await other.until("chunk_delta")


async def test_a_client_that_goes_in_the_middle_of_the_beginning_leaves_nothing(
    calm: MockClock,
) -> None:
    async with a_port() as port:
        port.scene.shard.is_up = False  # It waits for its first static.
        client = await port.watch()
        await client.until("session_ready")
        client.stream.socket.close()
        while port.spectators.count:
            await trio.sleep(0.01)
        await nothing_lives()


async def test_the_log_has_one_line_of_each_stream_when_it_is_over(calm: MockClock) -> None:
    with capture_logs() as logs:
        async with a_port() as port:
            client = await port.watch("chunks=0:0&secret=1")
            await client.until("chunk_static")
            await trio.sleep(5)
            assert _requests(logs) == []
            client.stream.socket.close()
            while port.spectators.count:
                await trio.sleep(0.01)
            (line,) = _requests(logs)
    assert (line["method"], line["route"], line["status"]) == ("GET", "/v1/spectate", 200)
    assert line["seconds"] >= 5
    assert f"x-trace-id: {line['trace_id']}".encode() in client.got
    assert "127.0.0.1" not in str(line)


def _requests(logs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [line for line in logs if line["event"] == "request"]


async def test_a_stop_ends_streams_one_after_the_other_and_soon(calm: MockClock) -> None:
    async with a_port(GENEROUS) as port:
        clients = [await port.watch() for _ in range(60)]
        for client in clients:
            await client.until("chunk_static")
        await nothing_lives()
        ends = await _ends(port, clients)
        assert len({round(end, 2) for end in ends}) > 3, "not all clients at the same moment"
        assert max(ends) < 1
        assert all(client.got.endswith(b"0\r\n\r\n") for client in clients)


async def _ends(port: Port, clients: list[Client]) -> list[float]:
    ends: list[float] = []

    async def note(client: Client) -> None:
        await client.end()
        ends.append(trio.current_time() - began)

    began = trio.current_time()
    port.stop.set()
    async with trio.open_nursery() as nursery:
        for client in clients:
            nursery.start_soon(note, client)
    return ends


async def test_who_does_not_hang_up_after_the_end_is_hung_up_on(calm: MockClock) -> None:
    async with a_port() as port:
        client = await port.watch()
        await client.until("chunk_static")
        port.stop.set()
        await client.end()
        for _ in range(3):
            await trio.sleep(LINGER_SECONDS / 10)
            await client.stream.send_all(b"x" * 1000)
        began = trio.current_time()
        await port.over.wait()
        assert trio.current_time() - began <= GRACE_SECONDS + 1


async def test_a_gateway_that_is_cancelled_leaves_no_socket_open(calm: MockClock) -> None:
    async with a_port() as port:
        client = await port.watch()
        await client.until("chunk_static")
        await nothing_lives()
        port.cancel()
        with trio.fail_after(5):
            await client.end()
        assert port.spectators.count == 0
