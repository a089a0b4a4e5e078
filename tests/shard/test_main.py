"""The composition root, on the real servers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import asyncpg
import httpx
import pytest
import trio
import trio_asyncio
from trio_asyncio import aio_as_trio

from common.accounts import ALL_SCOPES, Account, ApiKey, Session
from common.adapters.postgres import open_postgres
from common.adapters.postgres_accounts import PostgresAccounts
from common.adapters.redis import open_redis
from common.adapters.redis_gateway_bus import RedisGatewayBus
from common.bus import Inbound, Offer
from common.commands import Say
from common.envelopes import Attach, Attached, CommandOffered, ResultLine, ToShard
from common.errors import Misconfigured
from common.grid import AgentId, ChunkId, CommandId, GatewayId, SessionId, slot_of
from common.limits import SHUTDOWN_SECONDS_MAX
from common.settings import Settings
from ops.migrate import migrate, set_shard_count
from shard.main import run

T = TypeVar("T")

ANN, SESSION, GATEWAY, CHUNK = (
    AgentId("agt_ann"),
    SessionId("ses_ann"),
    GatewayId("gw_main"),
    ChunkId("0:0"),
)


async def test_a_shard_without_servers_says_what_it_needs() -> None:
    with pytest.raises(Misconfigured, match="DATABASE_URL and REDIS_URL"):
        await run(Settings(), name="s", metrics_port=0, stop=trio.Event(), drain=trio.Event())


async def _new_database(postgres_url: str) -> str:
    async with trio_asyncio.open_loop():
        server = await aio_as_trio(asyncpg.connect)(postgres_url)
        await aio_as_trio(server.execute)("drop database if exists shard_main")
        await aio_as_trio(server.execute)("create database shard_main")
        await aio_as_trio(server.close)()
    url = postgres_url.rpartition("/")[0] + "/shard_main"
    if "?" in postgres_url:
        url += "?" + postgres_url.partition("?")[2]
    await migrate(url)
    await set_shard_count(url, 1)
    return url


@pytest.mark.embedded
async def test_a_shard_process_serves_over_the_real_servers(
    postgres_url: str, redis_url: str, nursery: trio.Nursery
) -> None:
    url = await _new_database(postgres_url)
    stop = trio.Event()
    settings = Settings(database_url=url, redis_url=redis_url)
    with trio.fail_after(60):
        ended = trio.Event()

        async def serve(*, task_status: trio.TaskStatus[int]) -> None:
            await run(
                settings,
                name="s1",
                metrics_port=0,
                stop=stop,
                drain=trio.Event(),
                task_status=task_status,
            )
            ended.set()

        port = await nursery.start(serve)
        await _play(url, redis_url)
        async with httpx.AsyncClient() as client:
            base = f"http://127.0.0.1:{port}"
            assert (await client.get(f"{base}/readyz")).json() == {"status": "ok"}
            metrics = (await client.get(f"{base}/metrics")).text
            assert 'tessera_shard_commands_total{outcome="accepted"}' in metrics
        stop.set()
        with trio.fail_after(SHUTDOWN_SECONDS_MAX):
            await ended.wait()


async def _play(url: str, redis_url: str) -> None:
    async with (
        trio_asyncio.open_loop(),
        open_postgres(url) as postgres,
        open_redis(redis_url) as redis,
    ):
        now = datetime.now(UTC)
        key = ApiKey("key_1", ANN, b"hash", "", ALL_SCOPES, now)
        await PostgresAccounts(postgres).create(Account(ANN, "ann", now, CHUNK, None, None), key)
        session = Session(
            SESSION, ANN, "key_1", b"", b"", ALL_SCOPES, now, now + timedelta(days=1), (b"",)
        )
        await PostgresAccounts(postgres).open_session(session)
        bus = RedisGatewayBus(redis)
        async with bus.inbound(GATEWAY) as inbound:
            await bus.bind(SESSION, GATEWAY)
            await _offer(bus, Attach(SESSION, ANN, "ann", CHUNK, GATEWAY))
            attached = await _next(inbound, Attached)
            assert attached.chunk == CHUNK
            expires_at_ms = int(now.timestamp() * 1000) + 60_000
            offered = partial(CommandOffered, SESSION, ANN, chunk=CHUNK, gateway=GATEWAY)
            for number in range(5):
                id = CommandId(f"c{number}")
                await _offer(bus, offered(id=id, command=Say("hello"), expires_at_ms=expires_at_ms))
                result = await _next(inbound, ResultLine)
                assert (result.id, result.seq) == (id, 2 * number + 2)


async def _offer(bus: RedisGatewayBus, message: ToShard) -> None:
    await bus.offer([Offer((), slot_of(message.chunk, 1), message)])


async def _next(inbound: trio.MemoryReceiveChannel[Inbound], kind: type[T]) -> T:
    while True:
        heard = await inbound.receive()
        if isinstance(heard, kind):
            return heard
