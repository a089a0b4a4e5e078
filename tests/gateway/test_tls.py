"""TLS of a gateway's own: nothing is taken over from Hypercorn, and all goes on as before."""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio
from h2.connection import H2Connection
from trio.testing import MockClock

from common.errors import Misconfigured
from gateway.listener import make_config
from tests.gateway.sockets import Port, a_frame, a_port
from tests.gateway.stream.scripted import arrival

CERT = str(Path(__file__).parents[1] / "common" / "adapters" / "localhost.pem")  # And its key.
HEAD = "Host: tessera.test\r\n"


class Client:
    def __init__(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        self.stream, self.got = stream, b""

    async def until(self, text: bytes) -> None:
        while text not in self.got:
            data = await self.stream.receive_some()
            assert data, f"the server closed before {text!r}: {self.got[-2000:]!r}"
            self.got += data

    async def end(self) -> None:
        while data := await self.stream.receive_some():
            self.got += data


@asynccontextmanager
async def a_tls_port() -> AsyncIterator[Port]:
    async with a_port(tls_cert=CERT) as port:
        try:
            yield port
        finally:
            for stream in _streams:
                stream.transport_stream.socket.close()
            _streams.clear()


_streams: list[trio.SSLStream[trio.SocketStream]] = []


async def connect(port: Port, protocol: str) -> Client:
    context = ssl.create_default_context(cafile=CERT)
    context.set_alpn_protocols([protocol])
    stream = await trio.open_ssl_over_tcp_stream(
        "localhost", port.number, ssl_context=context, https_compatible=True
    )
    _streams.append(stream)
    await stream.do_handshake()
    assert stream.selected_alpn_protocol() == protocol
    return Client(stream)


async def upgrade(port: Port, path: str) -> Client:
    client = await connect(port, "http/1.1")
    key = base64.b64encode(os.urandom(16)).decode()
    head = (
        f"GET {path} HTTP/1.1\r\n{HEAD}Connection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    )
    await client.stream.send_all(head.encode())
    await client.until(b" 101 ")
    return client


async def test_a_stream_goes_on_and_ends_with_the_gateway(calm: MockClock) -> None:
    async with a_tls_port() as port:
        client = await connect(port, "http/1.1")
        await client.stream.send_all(f"GET /v1/spectate?chunks=0:0 HTTP/1.1\r\n{HEAD}\r\n".encode())
        await client.until(b"event: chunk_static")
        await port.scene.shard.say(3, arrival())
        await client.until(b"event: chunk_delta")
        port.stop.set()
        with trio.fail_after(5):
            await client.end()
        assert client.got.endswith(b"0\r\n\r\n"), "it ended, and was not cut off"


async def test_a_stream_comes_over_http_2(calm: MockClock) -> None:
    async with a_tls_port() as port:
        client, http2 = await connect(port, "h2"), H2Connection()
        http2.initiate_connection()
        request = {
            ":method": "GET", ":path": "/v1/spectate?chunks=0:0", ":scheme": "https",
            ":authority": "tessera.test",
        }  # fmt: skip
        http2.send_headers(1, list(request.items()), end_stream=True)
        await client.stream.send_all(http2.data_to_send())
        await client.until(b"event: chunk_static")
        await port.scene.shard.say(3, arrival())
        await client.until(b"event: chunk_delta")


async def test_the_fallback_is_told_the_same_and_may_say_nothing(calm: MockClock) -> None:
    async with a_tls_port() as port:
        client = await upgrade(port, "/v1/spectate/ws?chunks=0:0")
        await client.until(b"chunk_static")
        await port.scene.shard.say(3, arrival())
        await client.until(b"chunk_delta")
        await client.stream.send_all(a_frame(b"hello"))
        await client.until(b"read_only")


async def test_agents_are_let_in(calm: MockClock) -> None:
    async with a_tls_port() as port:
        client = await upgrade(port, "/v1/agent")
        await client.stream.send_all(a_frame(b"{}"))
        while "websocket.receive" not in port.agents:
            await trio.sleep(0.01)


async def test_who_speaks_plainly_is_not_answered(calm: MockClock) -> None:
    async with a_tls_port() as port:
        plain = await port.ask("GET / HTTP/1.1")
        with suppress(trio.BrokenResourceError):
            await plain.end()
        assert b"HTTP" not in plain.got


@pytest.mark.parametrize(
    ("cert", "key", "word"),
    [
        ("/nowhere.pem", None, "No such file"),
        (__file__, None, "TESSERA_TLS_CERT"),
        (None, CERT, "TESSERA_TLS_CERT is not"),
    ],
)
def test_files_that_are_of_no_use_keep_it_from_starting(
    cert: str | None, key: str | None, word: str
) -> None:
    with pytest.raises(Misconfigured, match=word):
        make_config(cert, key)
