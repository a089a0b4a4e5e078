"""What clients can do to the public port: real sockets, time that jumps."""

from __future__ import annotations

import pytest
import trio
from h2.connection import H2Connection
from trio.testing import MockClock

from common.limits import (
    GRACE_SECONDS,
    HEAD_SECONDS_MAX,
    LINGER_SECONDS,
)
from common.settings import Settings
from tests.gateway.sockets import Client, a_frame, a_port, nothing_lives, swallow
from tests.gateway.stream.scripted import arrival, step


async def test_the_stream_comes_through(calm: MockClock) -> None:
    async with a_port() as port:
        client = await port.watch()
        await client.until("event: chunk_static\n")
        await port.scene.shard.say(3, arrival())
        got = await client.until("event: chunk_delta\nid: 1.3.0~0~1~0\ndata: {")
        head = got.partition(b"\r\n\r\n")[0].lower()
        assert client.status == 200
        for header in (
            b"content-type: text/event-stream", b"cache-control: no-store", b"x-accel-buffering: no"
        ):  # fmt: skip
            assert header in head


async def test_the_websocket_comes_through_and_is_read_only(calm: MockClock) -> None:
    async with a_port() as port:
        client = await port.websocket("/v1/spectate/ws?chunks=0:0")
        await client.until('{"event":"chunk_static","id":"1.0.0~0~1~0","data":{')
        await client.stream.send_all(a_frame(b"hello"))
        got = await client.end()
        assert got.endswith(b"\x88\x0b" + (1008).to_bytes(2, "big") + b"read_only")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_other_methods_are_refused_also_with_a_big_body(calm: MockClock, method: str) -> None:
    async with a_port() as port:
        client = await port.client()
        size = 3_000_000

        async def send() -> None:
            more = (f"Content-Length: {size}",)
            await client.send(f"{method} /v1/spectate?chunks=0:0 HTTP/1.1", b"x" * size, more)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await client.end()
        assert client.status == 405
        assert client.problem["code"] == "method_not_allowed"
        assert b"allow: GET, OPTIONS" in client.got


async def test_options_have_an_answer_without_content(calm: MockClock) -> None:
    async with a_port() as port:
        client = await port.ask("OPTIONS /v1/spectate HTTP/1.1")
        await client.end()
        head, _, body = client.got.lower().partition(b"\r\n\r\n")
        assert client.status == 204
        assert body == b""
        assert b"\r\ncontent-type:" not in head


async def test_a_body_is_refused(calm: MockClock) -> None:
    async with a_port() as port:
        client = await port.client()
        head = "GET /v1/spectate?chunks=0:0 HTTP/1.1"
        await client.send(head, b"xx", ("Content-Length: 2",))
        await client.until('"errors":')
        assert client.status == 422


@pytest.mark.parametrize("head", ["GET /v1/spectate?chunks=0:0", "POST /v1/signup"])
async def test_a_body_with_two_lengths_is_the_last_of_its_connection(
    calm: MockClock, head: str
) -> None:
    """What stands behind it is a request for some, and a part of the body for others."""
    async with a_port() as port:
        client = await port.client()
        lengths = ("Content-Length: 4", "Transfer-Encoding: chunked")
        hidden = b"0\r\n\r\nGET /v1/world HTTP/1.1\r\nHost: t\r\n\r\n"
        await client.send(f"{head} HTTP/1.1", hidden, lengths)
        got = await client.end()
        assert got.count(b"HTTP/1.1 ") == 1
        assert b"\r\nconnection: close\r\n" in got.lower()


async def test_a_websocket_that_leads_nowhere_is_404_before_the_upgrade(calm: MockClock) -> None:
    async with a_port() as port:
        client = await port.websocket("/v1/nowhere")
        await client.end()
        assert client.status == 404
        assert client.problem["code"] == "not_found"


async def test_a_head_that_comes_a_byte_a_second_is_cut_off(calm: MockClock) -> None:
    async with a_port() as port:
        client, other = await port.client(), await port.watch()
        began = trio.current_time()
        assert await _is_cut_off(
            client, b"GET /v1/spectate?chunks=0:0 HTTP/1.1\r\nX-Drip: " + b"x" * 99
        )
        assert HEAD_SECONDS_MAX <= trio.current_time() - began <= HEAD_SECONDS_MAX + 2
        await port.scene.shard.say(3, arrival())
        await other.until("chunk_delta")


async def test_a_silent_connection_is_cut_off_and_so_is_one_that_was_served_before(
    calm: MockClock,
) -> None:
    async with a_port() as port:
        silent, served = await port.client(), await port.ask("GET / HTTP/1.1")
        await served.until("ok")
        began = trio.current_time()
        assert await silent.end() == b""
        await served.end()
        assert trio.current_time() - began <= HEAD_SECONDS_MAX + 1


async def test_a_body_that_drips_does_not_hold_what_is_answered_already(calm: MockClock) -> None:
    async with a_port() as port:
        client = await port.client()
        await client.send("POST / HTTP/1.1", more=("Content-Length: 1000",))
        await client.until("ok")
        began = trio.current_time()
        assert await _is_cut_off(client, b"x" * 1000)
        assert trio.current_time() - began <= LINGER_SECONDS + 2


async def test_a_body_that_nobody_wants_does_not_block_the_answer(calm: MockClock) -> None:
    async with a_port() as port:
        client = await port.client()
        size = 5_000_000
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                more = (f"Content-Length: {size}",)
                nursery.start_soon(swallow, client.send, "POST / HTTP/1.1", b"x" * size, more)
                await client.until("ok")
                await client.is_reset()
        await nothing_lives()


async def test_who_sends_on_after_the_end_is_not_reset_at_once(calm: MockClock) -> None:
    """To close on unread bytes is a reset, and throws away what the client has not read yet."""
    async with a_port() as port:
        client = await port.client()
        await client.send("GET / HTTP/1.1", more=("Connection: close",))
        await client.until("ok")
        for _ in range(5):
            await client.stream.send_all(b"x" * 1_000)
            await trio.sleep(LINGER_SECONDS / 10)
        assert not await client.is_reset()


async def test_data_before_the_upgrade_leaves_no_endpoint_behind(calm: MockClock) -> None:
    async with a_port() as port:
        client = await port.client()
        await client.send(
            "GET /v1/agent HTTP/1.1", a_frame(b"early"),
            ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
             "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
        )  # fmt: skip
        await client.is_reset()
        assert client.status == 400
        await nothing_lives()
        assert port.agents == ["websocket.connect", "cancelled"]


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\0" * 100, b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 200,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9) * 20,
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nHTTP2-Settings: !!!\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"y" * 100_000,
    ],
)  # fmt: skip
async def test_bytes_that_nobody_expects_end_their_own_connection_only(
    calm: MockClock, junk: bytes
) -> None:
    async with a_port() as port:
        other = await port.watch()
        await other.until("chunk_static")
        client = await port.client()
        await swallow(client.stream.send_all, junk)
        await client.is_reset()
        await port.scene.shard.say(3, arrival())
        await other.until("chunk_delta")


async def test_a_stream_comes_over_http_2_too(calm: MockClock) -> None:
    async with a_port() as port:
        client, http2 = await port.client(), _http2("GET")
        await client.stream.send_all(http2.data_to_send())
        await client.until("event: chunk_static")
        await port.scene.shard.say(3, arrival())
        await client.until("event: chunk_delta")


async def test_a_body_over_http_2_that_nobody_wants_harms_nobody_else(calm: MockClock) -> None:
    """Hypercorn looks up a stream that has been answered, and fails: that ends one connection."""
    async with a_port() as port:
        client, other, http2 = await port.client(), await port.watch(), _http2("POST")
        await other.until("chunk_static")
        await client.stream.send_all(http2.data_to_send())
        await client.until("method_not_allowed")
        http2.send_data(1, b"x" * 10_000)
        await swallow(client.stream.send_all, http2.data_to_send())
        await client.is_reset()
        await port.scene.shard.say(3, arrival())
        await other.until("chunk_delta")


def _http2(method: str) -> H2Connection:
    """A client that knows beforehand that the server speaks HTTP/2, and has asked."""
    http2 = H2Connection()
    http2.initiate_connection()
    request = {
        ":method": method,
        ":path": "/v1/spectate?chunks=0:0",
        ":scheme": "http",
        ":authority": "tessera.test",
    }
    http2.send_headers(1, list(request.items()), end_stream=method == "GET")
    return http2


async def test_a_bug_in_an_endpoint_is_500_for_one_and_nothing_for_others(calm: MockClock) -> None:
    async with a_port() as port:
        client = await port.ask("GET /bug HTTP/1.1")
        await client.end()
        assert client.status == 500
        assert b"Traceback" not in client.got
        again = await port.ask("GET / HTTP/1.1")
        await again.until("ok")


async def test_an_endpoint_that_waits_for_ever_does_not_outlive_its_client(
    calm: MockClock,
) -> None:
    async with a_port() as port:
        client = await port.ask("GET /stubborn HTTP/1.1")
        await trio.sleep(1)
        await client.stream.aclose()
        await nothing_lives()


async def test_a_client_that_goes_is_noticed_at_once(calm: MockClock) -> None:
    async with a_port() as port:
        client = await port.watch()
        await client.until("chunk_static")
        assert port.spectators.count == 1
        began = trio.current_time()
        await client.stream.aclose()
        while port.spectators.count:
            await trio.sleep(0.001)
        assert trio.current_time() - began < 1


async def test_a_stop_has_time_for_everybody_on_the_fallback_though_they_end_one_after_another(
    calm: MockClock,
) -> None:
    async with a_port(Settings(spectators_per_address=0)) as port:
        clients = [await port.websocket("/v1/spectate/ws?chunks=0:0") for _ in range(60)]
        for client in clients:
            await client.until("chunk_static")
        began = trio.current_time()
        port.stop.set()
        for client in clients:
            assert (await client.end()).endswith((1012).to_bytes(2, "big") + b"stopping")
        assert 0 < trio.current_time() - began < 1


async def test_a_stop_ends_streams_at_once_and_the_stuck_ones_in_time(calm: MockClock) -> None:
    async with a_port() as port:
        stuck = await port.watch(receive_buffer=4096)
        client, frames = await port.watch(), await port.websocket("/v1/spectate/ws?chunks=0:0")
        for each in (stuck, client, frames):
            await each.until("chunk_static")
        big = [arrival(f"agent-{number}") for number in range(300)]
        await port.scene.shard.say(1, *big)
        moves = [step(f"agent-{number}", x=5) for number in range(300)]
        for tick in range(2, 200):
            await port.scene.shard.say(tick, *moves)
            for each in (client, frames):
                await each.until(f"1.{tick}.")
                each.got = b""
        began = trio.current_time()
        port.stop.set()
        assert (await client.end()).endswith(b"0\r\n\r\n")
        assert (1012).to_bytes(2, "big") in await frames.end()
        assert trio.current_time() - began < 1
        with pytest.raises(OSError, match="refused"):
            await port.client()
        await nothing_lives()
        assert trio.current_time() - began <= GRACE_SECONDS + 0.5
        assert await stuck.is_reset()


async def _is_cut_off(client: Client, drops: bytes) -> bool:
    """Send a byte a second; True once the server has had enough."""
    with trio.move_on_after(2 * HEAD_SECONDS_MAX + 10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_drip, client, drops)
            await client.is_reset()
            nursery.cancel_scope.cancel()
            return True
    return False


async def _drip(client: Client, drops: bytes) -> None:
    for drop in drops:
        try:
            await client.stream.send_all(bytes([drop]))
        except trio.BrokenResourceError:
            return
        await trio.sleep(1)
