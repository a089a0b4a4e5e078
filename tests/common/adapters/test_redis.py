from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio_asyncio

from common.adapters.redis import Redis, Script, open_redis, read_script
from common.adapters.redis_gateway_bus import RedisGatewayBus
from common.adapters.redis_leases import RedisLeases
from common.adapters.redis_shard_bus import RedisShardBus
from common.bus import GatewayBeat, Outgoing, Restored, SlotBeat
from common.errors import InDoubt, Misconfigured, Unavailable
from common.grid import AgentId, Epoch, Tick
from common.limits import (
    REDIS_CALLS_MAX,
    REDIS_FAILURES_MAX,
    REDIS_PAUSE_SECONDS,
    REDIS_SECONDS_MAX,
)
from gateway import ports as gateway_ports
from shard import ports as shard_ports
from tests.common.adapters.bench import (
    ALICE,
    EAST,
    HERE,
    SLOT,
    MemoryBench,
    deltas,
    hear,
    offers,
)

# Trouble


def every_call(
    bus: gateway_ports.Bus, shard_bus: shard_ports.Bus, leases: shard_ports.Leases
) -> list[Callable[[], Awaitable[object]]]:
    agent = AgentId("agt_1")
    return [
        partial(bus.offer, offers("a")),
        partial(subscribe, bus),
        partial(bus.deltas_after, HERE, Tick(1)),
        partial(bus.bind, ALICE, EAST),
        partial(bus.release, ALICE, 1),
        partial(bus.refresh, [ALICE]),
        partial(bus.is_present, ALICE),
        partial(bus.end, ALICE, False),
        partial(bus.lines_after, ALICE, 0),
        partial(bus.strike, agent, "invalid"),
        partial(bus.forgive, agent),
        partial(bus.cooldown_ms, agent),
        partial(bus.beat, EAST, GatewayBeat(1, 1)),
        bus.counts,
        bus.ping,
        partial(shard_bus.receive, SLOT, "0", 1, 10),
        partial(shard_bus.done, SLOT, "5-1"),
        partial(shard_bus.publish, deltas(1)),
        partial(shard_bus.fence, {HERE: Epoch(1)}),
        partial(shard_bus.absent, [ALICE]),
        partial(shard_bus.reprieve, [ALICE]),
        partial(shard_bus.beat, SLOT, SlotBeat("one", 1, 1, 1.0)),
        shard_bus.ping,
        partial(leases.acquire, SLOT, "one"),
        partial(leases.renew, SLOT, "one"),
        partial(leases.release, SLOT, "one"),
    ]


async def subscribe(bus: gateway_ports.Bus) -> None:
    async with bus.inbound(EAST):
        raise AssertionError("there is nothing to subscribe to")


async def test_every_call_is_unavailable_while_the_memory_is_down() -> None:
    bench = MemoryBench(down=True)
    for call in every_call(bench.gateway_bus(), bench.shard_bus(), bench.leases()):
        with pytest.raises(Unavailable):
            await call()


async def test_a_memory_that_was_down_restores_subscriptions(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = MemoryBench()
    bus = bench.gateway_bus()
    async with bus.inbound(EAST) as inbox:
        await bus.watch(HERE)
        bench.redis.down = True
        await trio.sleep(10)
        with pytest.raises(trio.WouldBlock):
            inbox.receive_nowait()

        bench.redis.down = False

        assert isinstance(await hear(inbox), Restored)


async def test_a_receiver_hears_at_once_that_the_memory_is_down(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = MemoryBench()

    async def go_down() -> None:
        await trio.sleep(1)
        bench.redis.down = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(go_down)
        with pytest.raises(Unavailable):
            await bench.shard_bus().receive(SLOT, "0", 1, 60_000)
    assert trio.current_time() < 2


async def test_every_call_is_unavailable_when_nothing_listens() -> None:
    async with opened(f"redis://127.0.0.1:{free_port()}") as redis:
        bus, shard_bus, leases = RedisGatewayBus(redis), RedisShardBus(redis), RedisLeases(redis)
        for call in every_call(bus, shard_bus, leases):
            with pytest.raises(Unavailable):
                await call()


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


# The real server


@pytest.mark.embedded
async def test_a_wrong_password_is_unavailable(redis_url: str) -> None:
    _, _, place = redis_url.rpartition("@")
    async with opened(f"redis://:wrong@{place}") as redis:
        with pytest.raises(Unavailable):
            await redis.command("PING")


@pytest.mark.embedded
async def test_a_script_that_redis_forgot_is_sent_again(redis_url: str) -> None:
    async with opened(redis_url) as redis:
        leases = RedisLeases(redis)
        await leases.acquire(SLOT, "one")
        await redis.command("SCRIPT", "FLUSH")

        assert await leases.renew(SLOT, "one")


@pytest.mark.embedded
async def test_a_full_redis_is_unavailable_and_took_nothing(redis_url: str) -> None:
    async with opened(redis_url) as redis:
        await redis.command("FLUSHALL")
        bus, shard_bus = RedisGatewayBus(redis), RedisShardBus(redis)
        await redis.command("CONFIG", "SET", "maxmemory", 1)
        try:
            with pytest.raises(Unavailable):
                await bus.offer(offers("a"))
            with pytest.raises(Unavailable):
                await shard_bus.publish(deltas(1))
        finally:
            await redis.command("CONFIG", "SET", "maxmemory", 0)

        assert await shard_bus.receive(SLOT, "0", 1, 0) == []
        assert await shard_bus.publish(Outgoing()) == frozenset()


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


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Redis]:
    async with trio_asyncio.open_loop(), open_redis(url) as redis:
        yield redis


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """Speaks just enough of Redis to misbehave: one answer to each command, in order.

    b"" hangs up, None never answers. What a client says of itself is not counted.
    """

    def __init__(self, answers: list[bytes | None]) -> None:
        self.commands: list[list[bytes]] = []
        self._answers = iter(answers)
        self._streams: list[trio.SocketStream] = []

    async def __aenter__(self) -> Server:
        self._nursery_manager = trio.open_nursery()
        self._nursery = await self._nursery_manager.__aenter__()
        serve = partial(trio.serve_tcp, self._serve, 0, host="127.0.0.1")
        (listener,) = await self._nursery.start(serve)
        self.url = f"redis://127.0.0.1:{listener.socket.getsockname()[1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        self._nursery.cancel_scope.cancel()
        await self._nursery_manager.__aexit__(None, None, None)

    def hang_up(self) -> None:
        for stream in self._streams:
            stream.socket.shutdown(trio.socket.SHUT_RDWR)

    async def _serve(self, stream: trio.SocketStream) -> None:
        self._streams.append(stream)
        waiting = b""
        async for data in stream:
            *lines, waiting = (waiting + data).split(b"\r\n")
            for command in commands_in(lines):
                if not await self._answer(stream, command):
                    return

    async def _answer(self, stream: trio.SocketStream, command: list[bytes]) -> bool:
        if command[0] == b"CLIENT":
            await stream.send_all(b"+OK\r\n")
            return True
        self.commands.append(command)
        answer = next(self._answers)
        if answer is None:
            await trio.sleep_forever()
        await stream.send_all(answer or b"")
        return answer != b""


def commands_in(lines: list[bytes]) -> Iterator[list[bytes]]:
    """Arrays of short words, a line each and its length before; these tests send whole ones."""
    while lines:
        count = int(lines[0][1:])
        yield lines[2 : 2 * count + 1 : 2]
        lines = lines[2 * count + 1 :]
