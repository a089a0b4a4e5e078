"""WebSocket frames that the public port does not take: real sockets, time that jumps."""

from __future__ import annotations

import zlib

import pytest
from trio.testing import MockClock

from common.limits import (
    FRAME_BYTES_MAX,
)
from tests.gateway.sockets import a_frame, a_port, nothing_lives, swallow
from tests.gateway.stream.scripted import arrival


async def test_a_frame_too_big_is_1009_and_the_client_may_not_go_on(calm: MockClock) -> None:
    async with a_port() as port:
        client = await port.websocket("/v1/agent")
        await client.until("\r\n\r\n")
        await client.stream.send_all(a_frame(b"x" * FRAME_BYTES_MAX))
        await client.stream.send_all(a_frame(b"x" * (FRAME_BYTES_MAX + 1)))
        await swallow(client.stream.send_all, a_frame(b"x" * 3_000_000))
        got = await client.end()
        assert got.endswith(b"\x88\x02" + (1009).to_bytes(2, "big"))
        await nothing_lives()
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
        await nothing_lives()
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
        await swallow(client.stream.send_all, a_frame(deflated[:-4], first=0xC0))
        await client.end()
        assert "websocket.receive" not in port.agents
