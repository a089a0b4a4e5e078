"""A Redis that loses its data and no connection: a beat brings back what it forgot of sessions."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from common.adapters.memory_gateway_bus import MemoryGatewayBus
from common.limits import PRESENCE_BEAT_SECONDS
from tests.gateway.agent.scene import SAY, a_scene

A_BEAT = PRESENCE_BEAT_SECONDS + 0.1


async def test_a_result_that_was_said_to_nobody_comes_within_a_beat(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        ack = await client.command("c-1")
        scene.redis.forget()
        await scene.shard.finish(client.ticket.session)
        with trio.fail_after(A_BEAT):
            result = await client.until("result")
        assert (result["id"], result["seq"]) == ("c-1", ack["seq"] + 1)


async def test_after_a_beat_acks_and_results_come_at_once_again(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        scene.redis.forget()
        await trio.sleep(A_BEAT)
        with trio.fail_after(0.5):
            assert (await client.command("c-1", SAY))["status"] == "accepted"
            await client.until("result")


async def test_a_session_that_ended_unheard_is_told_so_within_a_beat(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        scene.redis.forget()
        await scene.accounts.end_session(client.ticket.session, scene.clock.now())
        await MemoryGatewayBus(scene.redis).end(client.ticket.session, replaced=False)
        with trio.fail_after(A_BEAT + 1):
            assert (await client.end())[1] == 4003


async def test_who_was_replaced_unheard_is_told_so_within_a_beat(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        older = await scene.connect(await scene.ticket())
        scene.redis.forget()
        await trio.sleep(0.001)  # Connections are numbered by the millisecond.
        newer = await (await scene.gateway("gw_2")).connect(older.ticket)
        with trio.fail_after(A_BEAT):
            assert (await older.end())[1] == 4001
        assert (await newer.command("c-1"))["status"] == "accepted"
