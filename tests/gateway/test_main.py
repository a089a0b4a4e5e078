"""A whole gateway on the embedded servers, beside a shard that only answers what it is told to."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import attrs
import httpx
import pytest
import trio
import trio_asyncio

from common import wire
from common.adapters.redis import open_redis
from common.adapters.redis_leases import RedisLeases
from common.adapters.redis_shard_bus import RedisShardBus
from common.bus import Outgoing
from common.envelopes import ShowAsked, Shown
from common.errors import Misconfigured
from common.grid import Slot
from common.limits import SHUTDOWN_SECONDS_MAX
from common.settings import Settings
from common.tokens import new_id
from gateway.main import run
from gateway.metrics import SLOTS
from ops.migrate import migrate, set_shard_count
from tests.gateway.stream.scripted import a_static

pytestmark = pytest.mark.embedded

CERT = str(Path(__file__).parents[1] / "common" / "adapters" / "localhost.pem")  # And its key.


@attrs.frozen
class Running:
    port: int
    metrics_port: int
    stop: trio.Event
    ended: trio.Event

    def url(self, path: str, *, private: bool = False) -> str:
        return f"http://127.0.0.1:{self.metrics_port if private else self.port}{path}"


@pytest.fixture
async def settings(postgres_url: str, redis_url: str) -> Settings:
    name = f"gateway_{new_id().lower()}"
    async with trio_asyncio.open_loop():
        connection = await trio_asyncio.aio_as_trio(asyncpg.connect)(postgres_url)
        await trio_asyncio.aio_as_trio(connection.execute)(f"create database {name}")
        await trio_asyncio.aio_as_trio(connection.close)()
    database_url = postgres_url.rsplit("/", 1)[0] + f"/{name}"
    await migrate(database_url, seed=1)
    await set_shard_count(database_url, 1)
    return Settings(database_url=database_url, redis_url=redis_url)


@asynccontextmanager
async def a_gateway(settings: Settings) -> AsyncIterator[Running]:
    stop, ended = trio.Event(), trio.Event()

    async def serve(task_status: trio.TaskStatus[tuple[int, int]]) -> None:
        await run(
            settings, host="127.0.0.1", port=0, metrics_port=0, name="test", stop=stop,
            task_status=task_status,
        )  # fmt: skip
        ended.set()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            port, metrics_port = await nursery.start(serve)
            yield Running(port, metrics_port, stop, ended)
            stop.set()


async def show_whatever_is_asked(redis_url: str) -> None:
    async with trio_asyncio.open_loop(), open_redis(redis_url) as redis:
        bus, leases, after = RedisShardBus(redis), RedisLeases(redis), "0"
        while True:
            for received in await bus.receive(Slot(0), after, 100, 1_000):
                after = received.position
                if isinstance(received.message, ShowAsked):
                    static = wire.encode(a_static(received.message.chunk)).decode()
                    shown = Shown(received.message.chunk, static)
                    await leases.acquire(Slot(0), "scripted")
                    await bus.publish(
                        Slot(0), "scripted", Outgoing(replies=[(received.message.gateway, shown)])
                    )


async def test_a_gateway_serves_calls_streams_and_its_private_port(settings: Settings) -> None:
    assert settings.redis_url is not None
    SLOTS.clear()
    async with a_gateway(settings) as gateway, trio.open_nursery() as nursery:
        nursery.start_soon(show_whatever_is_asked, settings.redis_url)
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(gateway.url("/healthz"))).json() == {"status": "ok"}
            world = (await http.get(gateway.url("/v1/world"))).json()
            assert world["shard_count"] == 1
            async with http.stream("GET", gateway.url("/v1/spectate?chunks=7:7")) as stream:
                lines = stream.aiter_lines()
                while "event: chunk_static" not in await anext(lines):
                    pass
                metrics = await http.get(gateway.url("/metrics", private=True))
                assert "tessera_spectators 1.0" in metrics.text
                assert (await http.get(gateway.url("/metrics"))).status_code == 404
                await _wait_until_shown(http, gateway, 'tessera_slots{state="in_force"} 1.0')
                await _wait_until_counted(http, gateway)
                began = trio.current_time()
                gateway.stop.set()
                async for _ in lines:
                    pass  # It ends, and not by an error.
            await gateway.ended.wait()
            assert trio.current_time() - began < SHUTDOWN_SECONDS_MAX
        nursery.cancel_scope.cancel()


async def _wait_until_shown(http: httpx.AsyncClient, gateway: Running, line: str) -> None:
    while line not in (await http.get(gateway.url("/metrics", private=True))).text:
        await trio.sleep(0.1)


async def _wait_until_counted(http: httpx.AsyncClient, gateway: Running) -> None:
    while not (await http.get(gateway.url("/v1/world"))).json()["spectators"]:
        await trio.sleep(0.1)


async def test_a_gateway_with_a_certificate_speaks_tls(settings: Settings) -> None:
    async with a_gateway(attrs.evolve(settings, tls_cert=CERT)) as gateway:
        context = ssl.create_default_context(cafile=CERT)
        async with httpx.AsyncClient(trust_env=False, verify=context) as http:
            answer = await http.get(f"https://localhost:{gateway.port}/healthz")
            assert answer.json() == {"status": "ok"}
            private = gateway.url("/healthz", private=True)
            assert (await http.get(private)).is_success, "which is for the machine's own people"


async def test_a_certificate_that_is_of_no_use_is_said_before_anything_is_waited_for() -> None:
    nowhere = "postgresql://127.0.0.1:1/none"
    settings = Settings(database_url=nowhere, redis_url="redis://127.0.0.1:1", tls_cert=__file__)
    with trio.fail_after(5), pytest.raises(Misconfigured, match="TESSERA_TLS_CERT"):
        await run(
            settings, host="127.0.0.1", port=0, metrics_port=0, name="test", stop=trio.Event()
        )


async def test_a_port_in_use_is_misconfigured(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        start = partial(run, settings, host="127.0.0.1", port=port, metrics_port=0, name="test")
        with pytest.raises(BaseExceptionGroup) as raised:
            await start(stop=trio.Event())
    (leaf,) = _leaves(raised.value)
    assert isinstance(leaf, Misconfigured)
    assert f"127.0.0.1:{port}" in str(leaf)


async def test_a_gateway_that_starts_before_postgres_waits_for_it(settings: Settings) -> None:
    assert settings.database_url is not None
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as probe:
        metrics_port = probe.getsockname()[1]
    there = urlsplit(settings.database_url)
    away = there._replace(netloc=f"{there.netloc.rpartition('@')[0]}@127.0.0.1:{port}").geturl()
    stop = trio.Event()
    start = partial(run, attrs.evolve(settings, database_url=away), host="127.0.0.1", port=0)
    started = trio.Event()

    async def serve(task_status: trio.TaskStatus[tuple[int, int]]) -> None:
        await start(metrics_port=metrics_port, name="test", stop=stop, task_status=task_status)

    async def wait_started() -> None:
        await nursery.start(serve)
        started.set()

    ready_url = f"http://127.0.0.1:{metrics_port}/readyz"
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery, httpx.AsyncClient(trust_env=False) as http:
            nursery.start_soon(wait_started)
            while (answer := await _answer(http, ready_url)) is None:
                await trio.sleep(0.05)
            assert answer.status_code == 503
            assert "postgres" in answer.json()
            assert (await http.get(ready_url.replace("readyz", "healthz"))).status_code == 200
            assert not started.is_set()
            relay = partial(_relay, there.hostname or "", there.port or 0)
            await nursery.start(partial(trio.serve_tcp, relay, port, host="127.0.0.1"))
            await started.wait()
            assert "postgres" not in (await http.get(ready_url)).json()
            stop.set()
            nursery.cancel_scope.cancel()


async def _answer(http: httpx.AsyncClient, url: str) -> httpx.Response | None:
    try:
        return await http.get(url)
    except httpx.TransportError:
        return None


async def _relay(host: str, port: int, near: trio.SocketStream) -> None:
    async def pass_on(source: trio.SocketStream, sink: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            async for some in source:
                await sink.send_all(some)
        nursery.cancel_scope.cancel()

    async with await trio.open_tcp_stream(host, port) as far, trio.open_nursery() as nursery:
        nursery.start_soon(pass_on, near, far)
        nursery.start_soon(pass_on, far, near)


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
