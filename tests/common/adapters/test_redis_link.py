"""One connection to Redis: addresses, TLS, and what becomes of one that is not whole."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from common.adapters.redis import open_redis
from common.adapters.redis_link import Address, Link, LinkLost, pack
from common.errors import Misconfigured, Unavailable
from tests.common.adapters.bad_server import Server, commands_in


@pytest.mark.parametrize(
    "url",
    ["http://h", "redis://h?colour=red", "rediss://h?ssl_cert_reqs=maybe", "redis://h?db=x"],
)
async def test_what_is_no_address_is_said_to_the_operator(url: str) -> None:
    with pytest.raises(Misconfigured, match="REDIS_URL"):
        async with open_redis(url):
            pass


async def test_it_says_who_it_is_and_which_database_before_anything_else() -> None:
    async with Server([b"+OK\r\n", b"+OK\r\n", b"+PONG\r\n"]) as server:
        place = server.url.removeprefix("redis://")
        async with open_redis(f"redis://me:secret@{place}/2") as redis:
            assert await redis.command("PING") == b"PONG"
        assert server.commands == [[b"AUTH", b"me", b"secret"], [b"SELECT", b"2"], [b"PING"]]


async def test_who_is_not_let_in_has_sent_nothing() -> None:
    async with Server([b"-WRONGPASS no\r\n"]) as server:
        place = server.url.removeprefix("redis://")
        async with open_redis(f"redis://:secret@{place}") as redis:
            with pytest.raises(Unavailable):
                await redis.command("SET", "a", 1)
        assert server.commands == [[b"AUTH", b"secret"]]


@asynccontextmanager
async def a_link(server: Server) -> AsyncIterator[Link]:
    link = await Address(server.url).connect()
    try:
        yield link
    finally:
        link.close()


async def test_it_connects_as_often_as_it_must() -> None:
    async with Server([]) as server:
        address = Address(server.url)
        for _ in range(120):  # More than any pool would hold.
            (await address.connect()).close()


async def test_who_reads_from_a_link_that_is_closed_hears_so() -> None:
    async with Server([None]) as server, a_link(server) as link:

        async def read() -> None:
            with pytest.raises(LinkLost):
                await link.read()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.sleep(0.05)
            link.close()
        with pytest.raises(LinkLost):
            await link.send(pack("PING"))


async def test_a_link_that_owes_something_or_is_closed_at_the_other_end_is_not_idle() -> None:
    async with Server([b"+PONG\r\n", b"+ONE\r\n+TWO\r\n"]) as server, a_link(server) as link:
        assert link.is_idle
        await link.send(pack("PING"))
        await link.read()
        assert link.is_idle
        await link.send(pack("PING"))
        assert await link.read() == b"ONE"
        assert not link.is_idle
        assert await link.read() == b"TWO"
        server.hang_up()
        await trio.sleep(0.05)
        assert not link.is_idle


async def test_what_is_no_redis_is_a_loss() -> None:
    async with Server([b"HTTP/1.1 400 Bad Request\r\n\r\n"]) as server, a_link(server) as link:
        await link.send(pack("PING"))
        with pytest.raises(LinkLost):
            await link.read()


async def test_more_than_the_kernel_takes_at_once_is_sent_whole() -> None:
    command = pack("SET", "a", b"x" * 20_000_000)
    got = bytearray()

    async def serve(stream: trio.SocketStream) -> None:
        while len(got) < len(command):
            await trio.sleep(0.001)  # Slower than we are.
            got.extend(await stream.receive_some(1_000_000))
        await stream.send_all(b"+OK\r\n")

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        link = await Address(f"redis://127.0.0.1:{port}").connect()
        await link.send(command)
        assert await link.read() == b"OK"
        link.close()
        nursery.cancel_scope.cancel()
    assert got == command


async def test_a_call_goes_through_tls() -> None:
    cert = Path(__file__).parent / "localhost.pem"  # With its key, which nobody else trusts.
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert)

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):
            while data := await stream.receive_some():
                for _ in commands_in(bytes(data).split(b"\r\n")[:-1]):
                    await stream.send_all(b"+PONG\r\n")
            raise trio.ClosedResourceError

    async with trio.open_nursery() as nursery:
        start = partial(trio.serve_ssl_over_tcp, serve, 0, context, host="127.0.0.1")
        (listener,) = await nursery.start(start)
        port = listener.transport_listener.socket.getsockname()[1]
        async with open_redis(f"rediss://localhost:{port}?ssl_ca_certs={cert}") as redis:
            for _ in range(3):
                assert await redis.command("PING") == b"PONG"
        async with open_redis(f"rediss://localhost:{port}") as redis:
            with pytest.raises(Unavailable):  # Nobody vouches for that certificate.
                await redis.command("PING")
        nursery.cancel_scope.cancel()
