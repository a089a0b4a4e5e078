"""The agent WebSocket on a real socket, through Hypercorn, with clients of another make."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    wrap_client_stream,
)

import gateway.agent.direct
from common.challenge import Claim, sign
from common.events import Said
from common.grid import CommandId
from common.limits import AGENT_QUEUE_MAX, FRAME_BYTES_MAX
from gateway.asgi import Gateway
from gateway.listener import make_config, serve
from tests.gateway.agent.scene import HERE, MOVE, SECRET, Scene, Ticket, a_scene
from tests.gateway.sockets import a_frame

TEST_SECONDS_MAX = 20  # Of real time; none of these takes more than a second or two.


@attrs.frozen
class Refused:
    status: int
    head: str
    problem: dict[str, Any]


@attrs.frozen
class Port:
    scene: Scene
    number: int
    streams: list[trio.abc.AsyncResource] = attrs.field(factory=list)

    @asynccontextmanager
    async def connect(
        self, ticket: Ticket, query: str = "", **more: Any
    ) -> AsyncIterator[WebSocketConnection]:
        more = more or {"extra_headers": [(b"Authorization", f"Bearer {ticket.token}".encode())]}
        stream = await self.stream()  # Ours: trio-websocket does not close it when it should.
        socket = await wrap_client_stream(
            self.scene.nursery, stream, "127.0.0.1", f"/v1/agent{query}", **more
        )
        try:
            yield socket
        finally:
            with trio.move_on_after(1):
                await socket.aclose()
            await trio.aclose_forcefully(stream)

    async def refused(self, ticket: Ticket, query: str = "") -> Refused:
        stream = await self.raw(ticket, query)
        got = b"".join([data async for data in stream]).decode()
        head, _, body = got.partition("\r\n\r\n")
        return Refused(int(head.split()[1]), head.lower(), json.loads(body))

    async def stream(self) -> trio.SocketStream:
        stream = await trio.open_tcp_stream("127.0.0.1", self.number)
        self.streams.append(stream)
        return stream

    async def raw(self, ticket: Ticket, query: str = "", *more: str) -> trio.SocketStream:
        """Upgrade by hand; what is done with frames is the test's."""
        stream = await self.stream()
        key = base64.b64encode(os.urandom(16)).decode()
        head = [
            f"GET /v1/agent{query} HTTP/1.1", "Host: tessera.test", "Connection: Upgrade",
            "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}",
            f"Authorization: Bearer {ticket.token}", *more, "", "",
        ]  # fmt: skip
        await stream.send_all("\r\n".join(head).encode())
        return stream


@asynccontextmanager
async def a_port(**settings: Any) -> AsyncIterator[Port]:
    async def nothing(*_: object) -> None:
        raise AssertionError("only the agent WebSocket is tried here")

    with trio.fail_after(TEST_SECONDS_MAX):
        async with a_scene(**settings) as scene, trio.open_nursery() as nursery:
            app = Gateway(nothing, scene.agents, nothing, nothing, nothing)
            stop = scene.outside.stop
            number: int = await nursery.start(
                partial(serve, app, make_config(), host="127.0.0.1", port=0, stop=stop)
            )
            port = Port(scene, number)
            try:
                yield port
            finally:
                for stream in port.streams:
                    await trio.aclose_forcefully(stream)
            stop.set()


async def frame(socket: WebSocketConnection, kind: str) -> dict[str, Any]:
    """The next frame of the type ``kind``."""
    while True:
        found: dict[str, Any] = json.loads(await socket.get_message())
        if found["type"] == kind:
            return found


async def ending(socket: WebSocketConnection) -> tuple[dict[str, Any], int]:
    """The last frame, and the close code."""
    last: dict[str, Any] = {}
    while True:
        try:
            last = json.loads(await socket.get_message())
        except ConnectionClosed as closed:
            assert closed.reason is not None
            return last, closed.reason.code


async def until(stream: trio.SocketStream, text: str | bytes) -> bytes:
    wanted = text.encode() if isinstance(text, str) else text
    got = b""
    while wanted not in got:
        data = await stream.receive_some()
        assert data, got
        got += data
    return got


async def ready(stream: trio.SocketStream) -> dict[str, Any]:
    """Read the upgrade and the ``session_ready``."""
    got = await until(stream, '"type":"session_ready"}')
    start = got.index(b'{"protocol"')
    found: dict[str, Any] = json.loads(got[start : got.index(b'"type":"session_ready"}') + 23])
    return found


async def test_a_command_goes_there_and_back() -> None:
    async with a_port() as port:
        ticket = await port.scene.ticket()
        async with port.connect(ticket) as socket:
            offered = (await frame(socket, "session_ready"))["challenge"]
            id = CommandId("c-1")
            claim = Claim(
                ticket.agent, ticket.session, id, MOVE, offered["nonce"], offered["expires_at"]
            )
            answer = {"nonce": offered["nonce"], "signature": sign(SECRET, claim)}
            request = {"type": "command_req", "id": id, "command": MOVE, "answer": answer}
            await socket.send_message(json.dumps(request))
            assert (await frame(socket, "ack"))["status"] == "accepted"
            await port.scene.shard.finish(ticket.session)
            assert (await frame(socket, "result"))["status"] == "completed"


@pytest.mark.parametrize(
    ("query", "token", "status", "code"),
    [
        ("", "wrong", 401, "unauthorized"),
        ("?resume=x&last_seq=0", None, 409, "resume_refused"),
    ],
)
async def test_a_refusal_comes_before_the_upgrade_as_a_problem(
    query: str, token: str | None, status: int, code: str
) -> None:
    async with a_port() as port:
        ticket = await port.scene.ticket()
        ticket = attrs.evolve(ticket, token=token or ticket.token)
        refused = await port.refused(ticket, query)
        assert (refused.status, refused.problem["code"]) == (status, code)
        assert refused.problem["status"] == status
        assert "content-type: application/problem+json" in refused.head


async def test_a_full_gateway_says_when_to_come_back() -> None:
    async with a_port(agents_max=1) as port:
        ticket = await port.scene.ticket()
        async with port.connect(ticket) as socket:
            await frame(socket, "session_ready")
            refused = await port.refused(await port.scene.ticket("bob"))
        assert refused.status == 503
        assert "retry-after: 5" in refused.head


async def test_a_browser_authorises_by_subprotocol_and_gets_ours_back() -> None:
    async with a_port() as port:
        ticket = await port.scene.ticket()
        offered = ["tessera.v1", f"bearer.{ticket.token}"]
        async with port.connect(ticket, subprotocols=offered) as socket:
            assert socket.subprotocol == "tessera.v1"
            await frame(socket, "session_ready")


@pytest.mark.parametrize(("replaced", "code"), [(False, 4003), (True, 4001)])
async def test_a_goodbye_comes_before_the_close(replaced: bool, code: int) -> None:
    async with a_port() as port:
        ticket = await port.scene.ticket()
        async with port.connect(ticket) as socket:
            await frame(socket, "session_ready")
            await port.scene.outside.bus.end(ticket.session, replaced)
            goodbye, closed = await ending(socket)
            assert (goodbye["type"], goodbye["code"], closed) == ("goodbye", code, code)


async def test_a_stop_closes_everybody_with_1012_within_a_second() -> None:
    async with a_port() as port:
        ticket = await port.scene.ticket()
        async with port.connect(ticket) as socket:
            await frame(socket, "session_ready")
            began = trio.current_time()
            port.scene.outside.stop.set()
            goodbye, closed = await ending(socket)
            assert (goodbye["code"], goodbye["resume"], closed) == (1012, True, 1012)
            assert trio.current_time() - began < 1


@pytest.mark.parametrize("size", [FRAME_BYTES_MAX + 1, 3_000_000])
@pytest.mark.parametrize("character", ["x", "\u20ac"])
async def test_a_frame_that_is_too_long_closes_with_1009(size: int, character: str) -> None:
    async with a_port() as port:
        ticket = await port.scene.ticket()
        async with port.connect(ticket) as socket:
            await frame(socket, "session_ready")
            await socket.send_message(character * (size // len(character.encode()) + 1))
            _, closed = await ending(socket)
            assert closed == 1009
            await gone(port)


async def test_the_longest_frame_is_read() -> None:
    async with a_port() as port:
        async with port.connect(await port.scene.ticket()) as socket:
            await frame(socket, "session_ready")
            await socket.send_message(" " * (FRAME_BYTES_MAX - 2) + "{}")
            assert (await frame(socket, "error"))["code"] == "malformed"


async def test_the_fifth_bad_frame_closes_with_1008() -> None:
    async with a_port() as port:
        async with port.connect(await port.scene.ticket()) as socket:
            await frame(socket, "session_ready")
            for _ in range(5):
                await socket.send_message(b"\x00\x01")
            goodbye, closed = await ending(socket)
            assert (goodbye["code"], closed) == (1008, 1008)


async def test_text_that_is_no_utf8_ends_the_connection_and_no_other() -> None:
    async with a_port() as port:
        async with port.connect(await port.scene.ticket("bob")) as other:
            await frame(other, "session_ready")
            stream = await port.raw(await port.scene.ticket())
            await ready(stream)
            await stream.send_all(a_frame(b"\xff\xfe"))
            async for _ in stream:
                pass
            await gone(port, left=1)
            await other.send_message("{}")
            assert (await frame(other, "error"))["code"] == "malformed"


async def test_a_client_that_floods_and_never_closes_is_gone_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def release(_session: object, _connection: int) -> None:
        await trio.sleep(0.1)  # As slow as a Redis may be: time to fill every queue.

    async with a_port() as port:
        monkeypatch.setattr(port.scene.outside.bus, "release", release)
        stream = await port.raw(await port.scene.ticket())
        await ready(stream)
        with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):
            while True:
                await stream.send_all(a_frame(b"{}") * 5000)
        await gone(port)


async def test_a_client_that_never_reads_is_cut_and_can_resume(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gateway.agent.direct, "SEND_SECONDS_MAX", 0.3)
    async with a_port() as port:
        ticket = await port.scene.ticket()
        stream = await port.raw(ticket)
        token = (await ready(stream))["resume_token"]
        text = "x" * 4000
        while port.scene.agents.count:
            for _ in range(AGENT_QUEUE_MAX // 4):
                await port.scene.shard.say(Said(ticket.agent, text), chunk=HERE)
            await trio.sleep(0.05)
        async with port.connect(ticket, f"?resume={token}&last_seq=0") as socket:
            assert (await frame(socket, "session_ready"))["resumed"] is True


async def test_a_client_that_speaks_before_the_upgrade_leaves_nothing_behind() -> None:
    async with a_port() as port:
        port.scene.shard.deaf = True
        stream = await port.raw(await port.scene.ticket())
        await trio.sleep(0.1)
        await stream.send_all(a_frame(b"{}"))
        assert b" 400 " in await until(stream, "\r\n\r\n")
        port.scene.shard.deaf = False
        await gone(port)


async def test_no_compression_is_agreed_to() -> None:
    async with a_port() as port:
        stream = await port.raw(
            await port.scene.ticket(), "", "Sec-WebSocket-Extensions: permessage-deflate"
        )
        got = await until(stream, "\r\n\r\n")
        assert b"101" in got.split(b"\r\n")[0]
        assert b"permessage-deflate" not in got
        await stream.aclose()


# Pings, pongs, and the resume token


async def test_a_pong_alone_confirms_the_fresh_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.agent.direct, "PING_SECONDS", 0.05)
    async with a_port() as port:
        ticket = await port.scene.ticket()
        async with port.connect(ticket) as socket:  # It answers pings by itself.
            fresh = (await frame(socket, "session_ready"))["resume_token"]
            # One ping is enough: it does not expect any in the moment of its going.
            monkeypatch.setattr(gateway.agent.direct, "PING_SECONDS", 60.0)
            await trio.sleep(0.3)
        await gone(port)
        assert (await port.refused(ticket, f"?resume={ticket.resume}&last_seq=0")).status == 409
        async with port.connect(ticket, f"?resume={fresh}&last_seq=0") as socket:
            await frame(socket, "session_ready")


async def test_an_unasked_pong_confirms_it_too() -> None:
    async with a_port() as port:
        ticket = await port.scene.ticket()
        stream = await port.raw(ticket)
        await ready(stream)
        await stream.send_all(a_frame(b"", opcode=10))
        await trio.sleep(0.1)
        await stream.aclose()
        await gone(port)
        assert (await port.refused(ticket, f"?resume={ticket.resume}&last_seq=0")).status == 409


async def test_a_connection_that_is_cut_at_once_confirms_nothing() -> None:
    async with a_port() as port:
        ticket = await port.scene.ticket()
        for _ in range(3):
            async with port.connect(ticket, f"?resume={ticket.resume}&last_seq=0") as socket:
                await frame(socket, "session_ready")
                await trio.sleep(0.05)  # A client that answers pings by itself gets none yet.
            await gone(port)


async def test_a_client_that_goes_without_a_word_is_noticed() -> None:
    async with a_port() as port:
        stream = await port.raw(await port.scene.ticket())
        await ready(stream)
        assert port.scene.agents.count == 1
        await stream.aclose()
        await gone(port)


async def gone(port: Port, left: int = 0) -> None:
    """Wait until the server has noticed that a client is gone."""
    while port.scene.agents.count > left:
        await trio.sleep(0.01)
