"""The endpoint over memory adapters: offers, lines and servers that get lost on the way."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from common.commands import Say
from common.envelopes import AckLine, CommandOffered
from common.grid import CommandId, Tick
from common.limits import (
    COMMAND_GRACE_MS,
    COMMAND_MS_MAX,
    LINES_LOOK_SECONDS,
    LINES_WAIT_SECONDS,
    REOFFER_SECONDS,
)
from tests.gateway.agent.scene import HERE, MOVE, SAY, a_scene


async def test_a_command_that_redis_did_not_take_is_unavailable_at_once(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        scene.redis.down = True
        began = trio.current_time()
        await client.say(type="command_req", id="c-1", command=MOVE)
        assert (await client.until("ack"))["code"] == "unavailable"
        assert trio.current_time() - began < 1
        scene.redis.down = False
        await trio.sleep(2)
        assert (await client.command("c-1"))["status"] == "accepted"


async def test_an_unanswered_command_is_offered_again_and_done_once(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        scene.shard.deaf = True
        await client.offer("c-1")
        await trio.sleep(REOFFER_SECONDS * 1.5)
        scene.shard.deaf = False
        assert (await client.until("ack"))["seq"] == 1
        offers = scene.shard.of(CommandOffered)
        assert len(offers) == 3
        assert len({offer.id for offer in offers}) == 1
        await scene.shard.finish(client.ticket.session)
        assert (await client.until("result"))["seq"] == 2
        await trio.sleep(60)
        await wait_all_tasks_blocked()
        acks = [frame for frame in client.seen if frame["type"] == "ack"]
        assert len(acks) == 1


async def test_a_command_that_nobody_takes_is_unavailable_once_it_can_no_longer_be(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        scene.shard.deaf = True
        began = trio.current_time()
        await client.offer("c-1")
        assert (await client.until("ack"))["code"] == "unavailable"
        seconds = trio.current_time() - began
        assert seconds == pytest.approx((COMMAND_MS_MAX + COMMAND_GRACE_MS) / 1000, abs=0.1)
        scene.shard.deaf = False
        assert (await client.command("c-1"))["status"] == "accepted"


async def test_an_accepted_command_is_never_called_unavailable(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.until("chunk_static")
        scene.shard.mute = True
        await client.offer("c-1")
        await trio.sleep(0.1)
        assert len(scene.shard.of(CommandOffered)) == 1
        scene.redis.down = True  # Neither the line nor a question gets through any more.
        await trio.sleep(30)
        assert "ack" not in [frame["type"] for frame in client.seen]
        scene.redis.down = False
        assert (await client.until("ack"))["seq"] == 1


async def test_lines_that_no_message_told_are_found(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        scene.shard.mute = True
        assert (await client.command("c-1"))["seq"] == 1
        began = trio.current_time()
        await scene.shard.finish(client.ticket.session)
        assert (await client.until("result"))["seq"] == 2
        assert trio.current_time() - began <= LINES_LOOK_SECONDS + 0.1


async def test_a_result_that_redis_forgot_is_found_on_record(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.command("c-1")
        scene.shard.mute = True
        began = trio.current_time()
        await scene.shard.finish(client.ticket.session)
        scene.redis.lines.clear()
        assert (await client.until("result"))["seq"] == 2
        assert trio.current_time() - began <= LINES_LOOK_SECONDS + 0.1


async def test_a_line_that_was_lost_is_told_before_the_next_one(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.command("c-1")
        session = client.ticket.session
        scene.shard.mute = True
        await scene.shard.finish(session)
        scene.shard.mute = False
        await client.say(type="command_req", id="s-1", command=SAY)
        challenge = await client.until("challenge")
        signature = client.sign("s-1", SAY, challenge)
        await client.say(type="answer", id="s-1", nonce=challenge["nonce"], signature=signature)
        told = [await client.until("result"), await client.until("ack")]
        told.append(await client.until("result"))
        assert [frame["seq"] for frame in told] == [2, 3, 4]


async def test_lines_that_redis_lost_come_from_postgres(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.command("c-1")
        scene.shard.mute = True
        await scene.shard.finish(client.ticket.session)
        scene.shard.mute = False
        scene.redis.lines.clear()
        await scene.shard.hear(
            CommandOffered(
                client.ticket.session,
                client.ticket.agent,
                CommandId("s-1"),
                Say("hello"),
                HERE,
                scene.outside.gateway,
                0,
            )
        )
        told = [await client.until(kind) for kind in ("result", "ack", "result")]
        assert [frame["seq"] for frame in told] == [2, 3, 4]


async def test_a_line_that_is_recorded_late_is_looked_for_until_it_is_there(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        session = client.ticket.session
        await client.command("c-1")
        scene.shard.mute = True
        await scene.shard.finish(session)
        scene.shard.mute = False
        scene.redis.lines.clear()
        kept = scene.postgres.commands[session, CommandId("c-1")]
        late, kept.result = kept.result, None
        ack = AckLine(session, CommandId("s-1"), 3, Tick(9))
        await scene.shard.publish(ack)
        await trio.sleep(1)
        kept.result = late
        began = trio.current_time()
        assert (await client.until("result"))["seq"] == 2
        assert (await client.until("ack"))["seq"] == 3
        assert trio.current_time() - began < 2 * LINES_WAIT_SECONDS


async def test_lines_missed_while_redis_was_away_are_told_when_it_is_back(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.command("c-1")
        scene.redis.cut()
        began = trio.current_time()
        await scene.shard.finish(client.ticket.session)
        assert (await client.until("result"))["seq"] == 2
        assert trio.current_time() - began < 1
