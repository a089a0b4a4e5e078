from __future__ import annotations

import pytest
import trio

from common.adapters.redis_gateway_bus import RedisGatewayBus
from common.adapters.redis_subscription import RedisSubscription
from common.bus import Delta, Outgoing
from tests.common.adapters.bad_server import Server
from tests.common.adapters.bench import (
    EAST,
    HERE,
    THERE,
    RedisBench,
    a_delta,
    deltas,
    hear,
    opened,
)

pytestmark = pytest.mark.embedded


async def test_watching_waits_until_redis_confirms_it(redis_url: str) -> None:
    async with opened(redis_url) as redis:
        bus = RedisGatewayBus(redis)
        async with bus.inbound(EAST):
            await redis.command("CLIENT", "PAUSE", 300, "ALL")
            begun = trio.current_time()

            await bus.watch(HERE)

            assert trio.current_time() - begun > 0.2


async def test_what_a_cancelled_watch_began_is_not_heard(redis_url: str) -> None:
    async with opened(redis_url) as redis:
        await redis.command("FLUSHALL")
        bus = RedisGatewayBus(redis)
        async with bus.inbound(EAST) as inbox:
            await redis.command("CLIENT", "PAUSE", 200, "ALL")
            with trio.move_on_after(0.05):
                await bus.watch(THERE)
            await bus.watch(HERE)

            outgoing = Outgoing(deltas=[a_delta(1, chunk=THERE), a_delta(1)])
            await RedisBench(redis).publish(outgoing)

            heard = await hear(inbox)
            assert isinstance(heard, Delta)
            assert heard.chunk == HERE


async def test_confirmations_are_not_mixed_up_by_a_cancelled_watch(redis_url: str) -> None:
    async with opened(redis_url) as redis:
        await redis.command("FLUSHALL")
        bus = RedisGatewayBus(redis)
        async with bus.inbound(EAST) as inbox:
            await redis.command("CLIENT", "PAUSE", 200, "ALL")
            with trio.move_on_after(0.05):
                await bus.watch(HERE)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(bus.unwatch, HERE)
                nursery.start_soon(bus.unwatch, THERE)
            await bus.watch(HERE)

            await RedisBench(redis).publish(deltas(1))

            assert isinstance(await hear(inbox), Delta)


async def test_a_redis_that_says_nothing_is_given_up() -> None:
    """It confirms the subscription, and is then as a machine whose cable was pulled."""
    confirmation = b"*3\r\n$9\r\nsubscribe\r\n$4\r\neast\r\n:1\r\n"
    losses = 0

    async def restored() -> None:
        nonlocal losses
        losses += 1

    answers = [confirmation, None, confirmation]
    async with Server(answers) as server, opened(server.url) as redis:
        subscription = RedisSubscription(redis, "east", silence_seconds=0.05)
        await subscription.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(subscription.run, lambda channel, message: None, restored)
            await trio.sleep(0.5)  # Then it stays silent, so that there is no second one.
            nursery.cancel_scope.cancel()

    assert losses == 1
    assert [command[0] for command in server.commands[:3]] == [b"SUBSCRIBE", b"PING", b"SUBSCRIBE"]
