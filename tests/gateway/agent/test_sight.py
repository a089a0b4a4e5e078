"""The endpoint over memory adapters: what an agent is shown, and what ends it."""

from __future__ import annotations

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from common.accounts import Scope
from common.envelopes import Attach, CommandOffered, Detach
from common.events import Entered, Left, Moved
from common.grid import AgentId, SessionId, Tick
from common.limits import (
    FEED_LINGER_SECONDS,
    FRAME_BYTES_MAX,
    PRESENCE_BEAT_SECONDS,
    PRESENCE_MS,
    REOFFER_SECONDS,
    RESUME_MS,
)
from gateway.stream.feeds import Feeds
from tests.gateway.agent.scene import HERE, THERE, a_scene


async def test_who_may_not_observe_is_shown_nothing_and_followed_all_the_same(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        ticket = await scene.ticket(scopes=frozenset({Scope.ACT}))
        client = await scene.connect(ticket)
        await trio.sleep(1)
        await scene.shard.cross(ticket.session, ticket.agent)
        await trio.sleep(1)
        await client.command("c-1")
        assert scene.shard.of(CommandOffered)[0].chunk == THERE
        assert not [frame for frame in client.seen if frame["type"].startswith("chunk")]


async def test_an_agent_that_crosses_a_border_is_shown_the_other_side(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        ticket = client.ticket
        await client.until("chunk_static")
        await scene.shard.cross(ticket.session, ticket.agent)
        left = await client.until("chunk_delta")
        assert left["events"] == [{"type": "left", "id": "agt_ada", "to": "1:0", "reason": "moved"}]
        static = await client.next()
        assert (static["type"], static["chunk"]) == ("chunk_static", "1:0")
        await scene.shard.say(Moved(ticket.agent, 51, 2), chunk=THERE)
        await scene.shard.say(Entered(AgentId("x"), "agent", 1, 1), chunk=HERE)
        delta = await client.until("chunk_delta")
        assert delta["chunk"] == "1:0"
        await client.command("c-1")
        assert scene.shard.of(CommandOffered)[0].chunk == THERE
        chunks = [frame["chunk"] for frame in client.seen if frame["type"] == "chunk_delta"]
        assert chunks == ["0:0", "1:0"], "nothing more of the chunk that it left"


async def test_no_feed_is_kept_that_nobody_needs(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.until("chunk_static")
        await scene.shard.cross(client.ticket.session, client.ticket.agent)
        await trio.sleep(2 * FEED_LINGER_SECONDS)
        feeds = scene.outside.feeds
        assert isinstance(feeds, Feeds)
        assert len(feeds) == 1
        await client.gone()
        await trio.sleep(2 * FEED_LINGER_SECONDS)
        assert len(feeds) == 0


async def test_an_offer_that_is_repeated_follows_the_agent(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.until("chunk_static")
        await trio.sleep(0.1)
        scene.shard.deaf = True
        await client.offer("c-1")
        await trio.sleep(0.1)
        await scene.shard.cross(client.ticket.session, client.ticket.agent)
        await trio.sleep(REOFFER_SECONDS)
        assert [offer.chunk for offer in scene.shard.of(CommandOffered)] == [HERE, THERE]


async def test_an_agent_that_was_lost_sight_of_is_found_again(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        ticket = client.ticket
        await client.until("chunk_static")
        # Its crossing fell into a gap: it is not in what the chunk shows next.
        scene.shard.sat[ticket.session].chunk = THERE
        replica = scene.shard.replica(HERE)
        scene.shard.chunks[HERE] = attrs.evolve(replica, entities={}, tick=Tick(replica.tick + 5))
        scene.redis.deltas.clear()
        scene.redis.cut()
        await trio.sleep(1)
        await scene.shard.say(Entered(AgentId("x"), "agent", 1, 1), chunk=HERE)
        while (await client.until("chunk_static"))["chunk"] != "1:0":
            pass
        assert len(scene.shard.of(Attach)) == 2


async def test_presence_is_kept_while_connected_and_runs_out_afterwards(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        session = client.ticket.session
        await trio.sleep(600)
        assert scene.redis.presence[session] - scene.redis.now_ms() > (
            PRESENCE_MS - 1000 * PRESENCE_BEAT_SECONDS - 100
        )
        await client.gone()
        assert scene.redis.presence[session] - scene.redis.now_ms() == RESUME_MS
        assert scene.agents.count == 0


@pytest.mark.parametrize("size", [FRAME_BYTES_MAX // 3 + 1, FRAME_BYTES_MAX + 1])
async def test_a_frame_that_is_too_long_in_bytes_closes_with_1009(
    autojump_clock: MockClock, size: int
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.say_text("\u20ac" * size if size < FRAME_BYTES_MAX else "x" * size)
        goodbye, code = await client.end()
        assert (goodbye["type"], goodbye["code"], goodbye["resume"]) == ("goodbye", 1009, False)
        assert code == 1009


async def test_five_frames_that_make_no_sense_close_with_1008(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.say_text(None, b"\x00")
        await client.say_text("{")
        for _ in range(3):
            await client.say(type="nonsense")
        goodbye, code = await client.end()
        assert (goodbye["code"], code) == (1008, 1008)
        errors = [frame["code"] for frame in client.seen if frame["type"] == "error"]
        assert errors == ["malformed"] * 5


async def test_an_agent_that_left_the_world_has_no_session_any_more(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.until("chunk_static")
        await scene.shard.say(Left(client.ticket.agent, "session_ended"))
        goodbye, code = await client.end()
        assert (goodbye["code"], code) == (4003, 4003)
        assert len(scene.shard.of(Detach)) == 1
        assert (await scene.refused(client.ticket)).status == 401


async def test_sessions_do_not_hear_each_other(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        ada = await scene.connect(await scene.ticket("ada"))
        bob = await scene.connect(await scene.ticket("bob"))
        await ada.command("c-1")
        await bob.command("c-1")
        await scene.shard.finish(SessionId(ada.ticket.session))
        await ada.until("result")
        await wait_all_tasks_blocked()
        assert bob._to_client[1].statistics().current_buffer_used == 0
