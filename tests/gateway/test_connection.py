"""What clients can do to the public port: real sockets, time that jumps."""

from __future__ import annotations

import ctypes
import gc
import socket
import struct
import zlib
from contextlib import suppress

import pytest
import trio
from h2.connection import H2Connection
from trio.testing import MockClock

import gateway.connection
from common.limits import (
    FAREWELL_SECONDS_MAX,
    FRAME_BYTES_MAX,
    GRACE_SECONDS,
    HEAD_SECONDS_MAX,
    HEARTBEAT_SECONDS,
    LINGER_SECONDS,
    SEND_SECONDS_MAX,
    STILL_SECONDS_MAX,
    TICK_SECONDS,
    VANISHED_SECONDS_MAX,
)
from gateway.connection import Connection
from tests.gateway.sockets import Client, a_frame, a_port
from tests.gateway.stream.scripted import arrival, step

CALM_SECONDS = 0.02  # Real: the clock may jump once nothing moved for so long, also in the kernel.


@pytest.fixture
def calm(autojump_clock: MockClock) -> MockClock:
    autojump_clock.autojump_threshold = CALM_SECONDS
    return autojump_clock


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
                nursery.start_soon(_swallow, client.send, "POST / HTTP/1.1", b"x" * size, more)
                await client.until("ok")
                await client.is_reset()
        await _nothing_lives(port)


async def test_a_reader_that_never_reads_is_ended_and_costs_others_nothing(calm: MockClock) -> None:
    async with a_port() as port:
        stuck = await port.watch(receive_buffer=4096)
        other = await port.watch()
        for client in (stuck, other):
            await client.until("chunk_static")
        big = [arrival(f"agent-{number}") for number in range(300)]
        await port.scene.shard.say(1, *big)
        moves = [step(f"agent-{number}", x=5) for number in range(300)]
        began = trio.current_time()
        for tick in range(2, 302):
            await port.scene.shard.say(tick, *moves)
            await other.until(f"id: 1.{tick}.")
            other.got = b""
        waited = trio.current_time() - began  # The clock jumps a little when this machine is busy.
        assert waited < SEND_SECONDS_MAX / 2, "nobody waited for the one who does not read"
        await trio.sleep(STILL_SECONDS_MAX - waited - 2)
        assert port.spectators.count == 2
        await trio.sleep(waited + 4)
        assert port.spectators.count == 1
        assert await stuck.is_reset()


@pytest.mark.parametrize("reads_on", [True, False])
@pytest.mark.parametrize("path", ["/v1/spectate", "/v1/spectate/ws"])
async def test_a_reader_that_is_slow_is_resynced_twice_and_then_sent_away(
    calm: MockClock, path: str, reads_on: bool
) -> None:
    async with a_port() as port:
        slow = await port.websocket(f"{path}?chunks=0:0", receive_buffer=4096, upgrade="ws" in path)
        await slow.until("chunk_static")
        big = [arrival(f"agent-{number}") for number in range(100)]
        await port.scene.shard.say(1, *big)
        moves = [step(f"agent-{number}", x=5) for number in range(100)]
        tick = 1
        for times in range(3):
            for _ in range(400):
                tick += 1
                await port.scene.shard.say(tick, *moves)
                await trio.testing.wait_all_tasks_blocked()
            if times < 2:
                await slow.until(b'{"reason":"slow"')
                await slow.until(f"1.{tick}.0~0")
                slow.got = b""
        if reads_on:
            await trio.sleep(FAREWELL_SECONDS_MAX / 2)
            got = await slow.end()
            last = b"\x88\x0a" + (4008).to_bytes(2, "big") + b"too_slow"
            assert got.endswith(last if "ws" in path else b"\r\n0\r\n\r\n")
        else:
            await trio.sleep(FAREWELL_SECONDS_MAX + 2)
            assert await slow.is_reset()
        await trio.testing.wait_all_tasks_blocked()
        assert port.spectators.count == 0


@pytest.mark.parametrize("path", ["/v1/spectate", "/v1/spectate/ws"])
async def test_a_reader_of_a_small_view_that_is_too_slow_is_resynced_and_not_cut_off(
    calm: MockClock, path: str
) -> None:
    """Some KB a second come, one is read; a write of all that waits would take minutes."""
    async with a_port() as port:
        slow = await port.websocket(f"{path}?chunks=0:0", receive_buffer=4096, upgrade="ws" in path)
        await slow.until("chunk_static")
        names = [f"agent-{number}" for number in range(12)]
        await port.scene.shard.say(1, *map(arrival, names))
        began = trio.current_time()
        for tick in range(2, 1000):
            await port.scene.shard.say(tick, *[step(name, x=tick % 40) for name in names])
            await trio.testing.wait_all_tasks_blocked()
            if tick % 10 == 0:
                await trio.sleep(10 * TICK_SECONDS)
                slow.got += await slow.stream.receive_some(3000)
        assert trio.current_time() - began > 9 * SEND_SECONDS_MAX
        assert slow.got.count(b'{"reason":"slow"') >= 1
        assert port.spectators.count == 1


async def test_the_kernel_ends_vanished_peers_but_no_spectator_with_little_room(
    calm: MockClock,
) -> None:
    async with a_port() as port:
        watching, silent = await port.watch(), await port.client()
        await watching.until("chunk_static")
        assert _kernel_seconds(watching) == 0
        assert _kernel_seconds(silent) == VANISHED_SECONDS_MAX


def _kernel_seconds(client: Client) -> float:
    """How long the other end of ``client`` waits for acknowledgements, or for room; 0: as usual."""
    address = client.stream.socket.getsockname()
    for connection in gc.get_objects():
        if isinstance(connection, Connection):
            sock = connection._socket()
            with suppress(OSError):
                if sock.getpeername() == address:
                    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) / 1000
    raise AssertionError("no connection of this client")


@pytest.mark.parametrize("path", ["/v1/spectate", "/v1/spectate/ws"])
async def test_a_spectator_that_vanished_is_noticed_though_little_is_said(
    calm: MockClock, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    # The kernel counts in real time. The clock makes ten jumps, of CALM_SECONDS, to a heartbeat.
    monkeypatch.setattr(gateway.connection, "STILL_VANISHED_SECONDS_MAX", 100 * CALM_SECONDS)
    async with a_port() as port:
        clients = [
            await port.websocket(f"{path}?chunks=0:0", upgrade="ws" in path) for _ in range(2)
        ]
        for client in clients:
            await client.until("chunk_static")
        _vanish(clients[0])
        began = trio.current_time()
        while port.spectators.count == 2:
            assert trio.current_time() - began < 1000
            await trio.sleep(HEARTBEAT_SECONDS)
        await trio.sleep(3 * HEARTBEAT_SECONDS)
        assert port.spectators.count == 1
        await port.scene.shard.say(3, arrival())
        await clients[1].until("chunk_delta")


def _vanish(client: Client) -> None:
    """Let nothing that is sent to ``client`` arrive, not even in the kernel."""
    refuse_all = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))  # BPF: return 0
    program = struct.pack("HL", 1, ctypes.addressof(refuse_all))
    so_attach_filter = 26  # asm-generic/socket.h; Python's socket does not name it.
    client.stream.socket.setsockopt(socket.SOL_SOCKET, so_attach_filter, program)


async def test_a_slow_reader_that_answers_pings_late_still_reads_why_it_was_sent_away(
    calm: MockClock,
) -> None:
    """Who sends to a socket that is gone is reset, and what it had not read yet is lost."""
    async with a_port() as port:
        slow = await port.websocket("/v1/spectate/ws?chunks=0:0", receive_buffer=4096)
        await slow.until("chunk_static")
        names = [f"agent-{number}" for number in range(100)]
        await port.scene.shard.say(1, *map(arrival, names))
        tick = 1
        for times in range(3):
            for _ in range(400):
                tick += 1
                await port.scene.shard.say(tick, *[step(name, x=5) for name in names])
                await trio.testing.wait_all_tasks_blocked()
            while times < 2 and f'"1.{tick}.0~0'.encode() not in slow.got:
                slow.got = await slow.stream.receive_some()
        while port.spectators.count:  # Until all of it is the kernel's.
            slow.got += await slow.stream.receive_some(1000)
            await trio.sleep(0.1)
        for _ in range(4):
            await trio.sleep(LINGER_SECONDS)
            await slow.stream.send_all(a_frame(b"", opcode=10))
        assert (await slow.end()).endswith(b"\x88\x0a" + (4008).to_bytes(2, "big") + b"too_slow")


async def test_a_long_answer_may_take_long_as_long_as_some_of_it_is_taken(calm: MockClock) -> None:
    async with a_port() as port:
        client = await port.client(receive_buffer=4096)
        await client.send("GET /long HTTP/1.1")
        began = trio.current_time()
        while b"the end" not in client.got:
            client.got += await client.stream.receive_some(20_000)
            await trio.sleep(1)
        assert trio.current_time() - began > 2 * SEND_SECONDS_MAX


async def test_a_frame_too_big_is_1009_and_the_client_may_not_go_on(calm: MockClock) -> None:
    async with a_port() as port:
        client = await port.websocket("/v1/agent")
        await client.until("\r\n\r\n")
        await client.stream.send_all(a_frame(b"x" * FRAME_BYTES_MAX))
        await client.stream.send_all(a_frame(b"x" * (FRAME_BYTES_MAX + 1)))
        await _swallow(client.stream.send_all, a_frame(b"x" * 3_000_000))
        got = await client.end()
        assert got.endswith(b"\x88\x02" + (1009).to_bytes(2, "big"))
        await _nothing_lives(port)
        assert port.agents == ["websocket.connect", "websocket.receive", "websocket.disconnect"]


async def test_a_frame_is_measured_in_bytes_not_in_characters(calm: MockClock) -> None:
    async with a_port() as port:
        client = await port.websocket("/v1/agent")
        await client.until("\r\n\r\n")
        await client.stream.send_all(a_frame("é".encode() * (FRAME_BYTES_MAX // 2 + 1)))
        assert (await client.end()).endswith((1009).to_bytes(2, "big"))


async def test_a_message_in_many_fragments_has_the_same_bound(calm: MockClock) -> None:
    async with a_port() as port:
        client = await port.websocket("/v1/agent")
        await client.until("\r\n\r\n")
        await client.stream.send_all(a_frame(b"x" * 10_000, first=0))
        await client.stream.send_all(a_frame(b"x" * 10_000, opcode=0, first=0))
        assert (await client.end()).endswith((1009).to_bytes(2, "big"))


_BREACHES = [
    (a_frame(b"\xff\xfe"), 1007),
    (a_frame(b"\xc3", first=0) + a_frame(b"x", opcode=0), 1007),
    (b"\x81\x02hi", 1002),  # No mask.
    (a_frame(b"hi", first=0xC0), 1002),  # A reserved bit.
    (a_frame(b"hi", opcode=3), 1002),
    (a_frame(b"hi", opcode=0), 1002),  # Goes on with what never began.
    (a_frame(b"x" * 126, opcode=9), 1002),
    (a_frame(b"\x03", opcode=8), 1002),
]


@pytest.mark.parametrize(("data", "code"), _BREACHES)
@pytest.mark.parametrize("path", ["/v1/agent", "/v1/spectate/ws?chunks=0:0"])
async def test_who_breaks_the_rules_of_frames_is_told_so_and_nobody_else_notices(
    calm: MockClock, path: str, data: bytes, code: int
) -> None:
    async with a_port() as port:
        client, other = await port.websocket(path), await port.watch()
        await client.until("\r\n\r\n")
        await other.until("chunk_static")
        await client.stream.send_all(data + a_frame(b"more"))
        got = await client.end()
        closing = got.rfind(b"\x88")
        assert got[closing + 2 : closing + 4] == code.to_bytes(2, "big")
        assert got[closing + 1] == len(got) - closing - 2, "nothing follows the close frame"
        await port.scene.shard.say(3, arrival())
        await other.until("chunk_delta")
        for each in (client, other):
            await each.stream.aclose()
        await _nothing_lives(port)
        if path == "/v1/agent":
            assert port.agents == ["websocket.connect", "websocket.disconnect"]


async def test_a_close_is_answered_with_its_code(calm: MockClock) -> None:
    async with a_port() as port:
        client = await port.websocket("/v1/agent")
        await client.until("\r\n\r\n")
        await client.stream.send_all(a_frame((1000).to_bytes(2, "big") + b"done", opcode=8))
        assert (await client.end()).endswith(b"\x88\x06" + (1000).to_bytes(2, "big") + b"done")


async def test_nothing_is_inflated(calm: MockClock) -> None:
    async with a_port() as port:
        offer = "Sec-WebSocket-Extensions: permessage-deflate"
        client = await port.websocket("/v1/agent", offer)
        got = await client.until("\r\n\r\n")
        assert b"sec-websocket-extensions" not in got.lower()
        bomb = zlib.compressobj(wbits=-15)
        deflated = bomb.compress(b"x" * 10_000_000) + bomb.flush(zlib.Z_SYNC_FLUSH)
        await _swallow(client.stream.send_all, a_frame(deflated[:-4], first=0xC0))
        await client.end()
        assert "websocket.receive" not in port.agents


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
        await _nothing_lives(port)
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
        await _swallow(client.stream.send_all, junk)
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
        await _swallow(client.stream.send_all, http2.data_to_send())
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
        await _nothing_lives(port)


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
        await _nothing_lives(port)
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


async def _swallow(send: object, *words: object) -> None:
    with suppress(trio.BrokenResourceError):
        await send(*words)  # type: ignore[operator]


async def _nothing_lives(port: object) -> None:
    """Wait until every task of a connection has ended; bounded by the tests' own deadline."""
    with trio.fail_after(60):
        while any("Connection" in task.name or "_handle" in task.name for task in _tasks()):
            await trio.sleep(0.1)


def _tasks() -> list[trio.lowlevel.Task]:
    root = trio.lowlevel.current_root_task()
    found, open_ = [], [root] if root else []
    while open_:
        task = open_.pop()
        found.append(task)
        for nursery in task.child_nurseries:
            open_.extend(nursery.child_tasks)
    return found
