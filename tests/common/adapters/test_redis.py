from __future__ import annotations

import pytest
import trio

from common.adapters.durations import Durations
from common.adapters.redis import Script, open_redis, read_script
from common.adapters.redis_gateway_bus import RedisGatewayBus
from common.adapters.redis_leases import RedisLeases
from common.adapters.redis_shard_bus import RedisShardBus
from common.bus import Outgoing
from common.errors import InDoubt, Misconfigured, Unavailable
from common.limits import (
    REDIS_CALLS_MAX,
    REDIS_FAILURES_MAX,
    REDIS_PAUSE_SECONDS,
    REDIS_SECONDS_MAX,
)
from tests.common.adapters.bad_server import Server
from tests.common.adapters.bench import (
    HOLDER,
    SLOT,
    deltas,
    offers,
    opened,
)


async def test_after_some_failures_nobody_is_asked_for_a_while() -> None:
    async with Server([b""] * 100) as server, opened(server.url) as redis:
        for _ in range(REDIS_FAILURES_MAX):
            with pytest.raises(InDoubt):
                await redis.command("PING")

        for _ in range(3):
            with pytest.raises(Unavailable):
                await redis.command("PING")
        assert len(server.commands) == REDIS_FAILURES_MAX

        await trio.sleep(REDIS_PAUSE_SECONDS + 0.01)
        with pytest.raises(InDoubt):
            await redis.command("PING")


async def test_a_command_whose_answer_is_lost_is_in_doubt_and_not_repeated() -> None:
    async with Server([b"+PONG\r\n", b"", b"+PONG\r\n"]) as server, opened(server.url) as redis:
        await redis.command("PING")

        with pytest.raises(InDoubt):
            await redis.command("DO", "it")
        await redis.command("PING")

        assert server.commands == [[b"PING"], [b"DO", b"it"], [b"PING"]]


async def test_a_server_that_does_not_answer_leaves_us_in_doubt_in_time() -> None:
    async with Server([None]) as server, opened(server.url) as redis:
        begun = trio.current_time()

        with pytest.raises(InDoubt):
            await redis.command("PING")

        assert trio.current_time() - begun < REDIS_SECONDS_MAX + 1


async def test_a_connection_that_was_closed_while_idle_is_not_used() -> None:
    async with Server([b"+PONG\r\n", b"+PONG\r\n"]) as server, opened(server.url) as redis:
        await redis.command("PING")
        server.hang_up()
        await trio.sleep(0.05)

        assert await redis.command("PING") == b"PONG"


@pytest.mark.parametrize(
    "refusal",
    [
        b"-LOADING Valkey is loading the dataset in memory\r\n",
        b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
        b"-MISCONF Errors writing to the AOF file\r\n",
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-NOAUTH Authentication required.\r\n",
        b"-NOPERM this user has no permissions\r\n",
        b"-BUSY Valkey is busy running a script.\r\n",
    ],
)
async def test_what_redis_refuses_was_not_done(refusal: bytes) -> None:
    async with Server([refusal]) as server, opened(server.url) as redis:
        with pytest.raises(Unavailable):
            await redis.command("SET", "a", "b")


async def test_a_command_that_is_wrong_is_our_own_bug() -> None:
    async with Server([b"-ERR unknown command\r\n"]) as server, opened(server.url) as redis:
        with pytest.raises(AssertionError):
            await redis.command("SETT", "a", "b")


async def test_an_address_that_can_t_be_one_is_said_to_the_operator() -> None:
    with pytest.raises(Misconfigured, match="REDIS_URL"):
        async with open_redis("http://127.0.0.1"):
            pass


@pytest.mark.embedded
async def test_a_wrong_password_is_unavailable(redis_url: str) -> None:
    _, _, place = redis_url.rpartition("@")
    async with opened(f"redis://:wrong@{place}") as redis:
        with pytest.raises(Unavailable):
            await redis.command("PING")


@pytest.mark.embedded
async def test_a_script_that_redis_forgot_is_sent_again(redis_url: str) -> None:
    async with opened(redis_url) as redis:
        leases = RedisLeases(redis, Durations(lease_ms=60_000))
        await leases.acquire(SLOT, "one")
        await redis.command("SCRIPT", "FLUSH")

        assert await leases.renew(SLOT, "one")


@pytest.mark.embedded
async def test_a_full_redis_is_unavailable_and_took_nothing(redis_url: str) -> None:
    async with opened(redis_url) as redis:
        await redis.command("FLUSHALL")
        bus, shard_bus = RedisGatewayBus(redis), RedisShardBus(redis)
        await RedisLeases(redis).acquire(SLOT, HOLDER)
        await redis.command("CONFIG", "SET", "maxmemory", 1)
        try:
            with pytest.raises(Unavailable):
                await bus.offer(offers("a"))
            with pytest.raises(Unavailable):
                await shard_bus.publish(SLOT, HOLDER, deltas(1))
        finally:
            await redis.command("CONFIG", "SET", "maxmemory", 0)

        assert await shard_bus.receive(SLOT, "0", 1, 0) == []
        assert await shard_bus.publish(SLOT, HOLDER, Outgoing()) == frozenset()


@pytest.mark.embedded
async def test_a_cancelled_call_does_not_mix_up_the_answers(redis_url: str) -> None:
    async with opened(redis_url) as redis:
        for attempt in range(30):
            with trio.move_on_after(attempt * 0.00003):
                await redis.command("ECHO", "cancelled")
            assert await redis.command("ECHO", str(attempt)) == str(attempt).encode()


@pytest.mark.embedded
async def test_many_callers_share_a_few_connections(redis_url: str) -> None:
    async with opened(redis_url) as redis:
        answers: list[object] = []

        async def ask(number: int) -> None:
            answers.append(await redis.command("ECHO", number))

        async with trio.open_nursery() as nursery:
            for number in range(500):
                nursery.start_soon(ask, number)

        assert len(answers) == 500
        clients = await redis.command("CLIENT", "LIST", "TYPE", "normal")
        assert isinstance(clients, bytes)
        assert len(clients.splitlines()) <= REDIS_CALLS_MAX + 1


@pytest.mark.embedded
async def test_big_and_odd_bytes_come_back_as_they_went(redis_url: str) -> None:
    echo = Script("echo", "return ARGV[1]", "0" * 40)
    async with opened(redis_url) as redis:
        for data in (b"", b"\r\n\x00\xff", bytes(range(256)) * 4_000):
            assert await redis.call(echo, [], [data]) == data


def test_every_script_says_what_it_takes_and_gives() -> None:
    for name in ("offer", "publish", "bind", "counts"):
        header = read_script(name).source.split("\n\n")[0]
        assert all(word in header for word in ("-- KEYS:", "-- ARGV:", "-- Reply:"))
