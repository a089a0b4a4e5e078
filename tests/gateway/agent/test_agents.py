"""The endpoint over memory adapters: who comes in, what is exchanged, what is shown."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from common.accounts import Scope
from common.bus import Binding
from common.commands import Say
from common.envelopes import AckLine, Attach, AttachRefused, CancelOffered, CommandOffered, Detach
from common.events import Entered, Left, Moved
from common.grid import AgentId, CommandId, GatewayId, SessionId, Tick
from common.limits import (
    ATTACH_SECONDS_MAX,
    COMMAND_GRACE_MS,
    COMMAND_MS_MAX,
    FEED_LINGER_SECONDS,
    FRAME_BYTES_MAX,
    LINES_LOOK_SECONDS,
    LINES_WAIT_SECONDS,
    PRESENCE_BEAT_SECONDS,
    PRESENCE_MS,
    REOFFER_SECONDS,
    RESUME_MS,
)
from common.tokens import Kind, new_token
from gateway.agent.agents import _unless_gone
from gateway.stream.feeds import Feeds
from tests.gateway.agent.scene import HERE, MOVE, SAY, THERE, a_scene

# Coming in


async def test_an_agent_comes_in_and_is_shown_its_chunk(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        ticket = await scene.ticket()
        client = await scene.connect(ticket)
        ready = client.seen[0]
        assert client.subprotocol is None
        assert attrs.asdict(ticket)["session"] == ready["session_id"]
        assert (ready["protocol"], ready["agent_id"], ready["resumed"]) == (1, "agt_ada", False)
        assert (ready["chunk"], ready["position"], ready["tick_hz"]) == ("0:0", {"x": 1, "y": 2}, 5)
        assert ready["limits"] == {
            "commands_per_s": 10, "chat_per_min": 20, "challenge_ttl_ms": 2000,
        }  # fmt: skip
        assert set(ready["challenge"]) == {"nonce", "expires_at"}
        assert ready["resume_token"] != ticket.resume
        static = await client.next()
        assert (static["type"], static["chunk"]) == ("chunk_static", "0:0")
        assert [entity["id"] for entity in static["entities"]] == ["agt_ada"]


async def test_a_browser_brings_its_token_as_a_subprotocol(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        ticket = await scene.ticket()
        offered = ("tessera.v1", f"bearer.{ticket.token}")
        client = await scene.connect(ticket, subprotocols=offered, authorization="")
        assert client.subprotocol == "tessera.v1"


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer x", f"Bearer {new_token(Kind.SESSION).text}"]
)
async def test_who_has_no_good_token_is_refused_before_the_upgrade(
    autojump_clock: MockClock, authorization: str
) -> None:
    async with a_scene() as scene:
        refused = await scene.refused(await scene.ticket(), authorization=authorization)
        assert (refused.status, refused.problem["code"]) == (401, "unauthorized")
        assert refused.headers["content-type"] == "application/problem+json"
        assert scene.agents.count == 0


async def test_an_ended_session_is_refused(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        ticket = await scene.ticket()
        await scene.accounts.end_session(ticket.session, scene.clock.now())
        assert (await scene.refused(ticket)).status == 401


async def test_a_session_that_ends_while_it_connects_is_refused(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        ticket = await scene.ticket()
        scene.shard.deaf = True
        scene.knock(ticket)
        await trio.sleep(0.1)
        client = scene.knock(ticket)
        await trio.sleep(0.1)
        await scene.outside.bus.end(ticket.session, replaced=False)
        message = await client._to_client[1].receive()
        assert message["status"] == 401


async def test_a_session_that_ended_before_anybody_could_tell_us_is_refused(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_scene() as scene:
        ticket = await scene.ticket()
        bus, bind = scene.outside.bus, scene.outside.bus.bind

        async def end_and_bind(session: SessionId, gateway: GatewayId) -> Binding:
            await scene.accounts.end_session(session, scene.clock.now())
            return await bind(session, gateway)

        monkeypatch.setattr(bus, "bind", end_and_bind)
        assert (await scene.refused(ticket)).status == 401


async def test_a_gateway_takes_no_more_agents_than_it_may(autojump_clock: MockClock) -> None:
    async with a_scene(agents_max=1) as scene:
        first = await scene.connect(await scene.ticket("ada"))
        refused = await scene.refused(await scene.ticket("bob"))
        assert (refused.status, refused.problem["code"]) == (503, "unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        await first.gone()
        await scene.connect(await scene.ticket("bob"))


async def test_an_attach_that_no_shard_answers_is_repeated_then_unavailable(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        scene.shard.deaf = True
        began = trio.current_time()
        refused = await scene.refused(await scene.ticket())
        assert (refused.status, refused.problem["code"]) == (503, "unavailable")
        assert "retry-after" in refused.headers
        assert trio.current_time() - began == pytest.approx(ATTACH_SECONDS_MAX, abs=0.1)
        assert len(scene.shard.of(Attach)) == ATTACH_SECONDS_MAX / REOFFER_SECONDS


async def test_a_spare_that_takes_over_in_time_lets_the_agent_in(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        scene.shard.deaf = True
        client = scene.knock(await scene.ticket())
        await trio.sleep(5)
        scene.shard.deaf = False
        assert (await client._to_client[1].receive())["type"] == "websocket.accept"


async def test_no_room_is_unavailable(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        ticket = await scene.ticket()
        scene.shard.deaf = True
        client = scene.knock(ticket)
        await trio.sleep(0.1)
        await scene.shard._reply(scene.outside.gateway, AttachRefused(ticket.session, ticket.agent))
        assert (await client._to_client[1].receive())["status"] == 503


@pytest.mark.parametrize("lost", ["redis", "postgres"])
async def test_nobody_comes_in_while_redis_or_postgres_is_down(
    autojump_clock: MockClock, lost: str
) -> None:
    async with a_scene() as scene:
        ticket = await scene.ticket()
        getattr(scene, lost).down = True
        assert (await scene.refused(ticket)).status == 503
        getattr(scene, lost).down = False
        await trio.sleep(2)
        await scene.connect(ticket)


async def test_a_client_that_goes_while_it_connects_leaves_nothing_behind(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        scene.shard.deaf = True
        client = scene.knock(await scene.ticket())
        await trio.sleep(0.5)
        began = trio.current_time()
        await client.gone()
        assert scene.agents.count == 0
        assert trio.current_time() - began < 0.1


async def test_a_client_that_goes_in_the_moment_it_is_let_in_is_gone() -> None:
    for _ in range(30):  # Trio draws lots who of two goes first.
        told = trio.Event()

        async def receive(told: trio.Event = told) -> Any:
            await told.wait()

        async def act(told: trio.Event = told) -> str:
            await told.wait()
            return "let in"

        async with trio.open_nursery() as nursery:
            outcome: list[object] = []

            async def ask(outcome: list[object] = outcome) -> None:
                outcome.append(await _unless_gone(act(), receive, trio.current_time() + 1))

            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            told.set()
        assert outcome == [None]


async def test_an_agent_that_left_is_attached_where_it_stood(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        ticket = await scene.ticket()
        account = scene.postgres.agents[ticket.agent]
        scene.postgres.agents[ticket.agent] = attrs.evolve(account, chunk=THERE, x=60, y=7)
        await scene.connect(ticket)
        (attach,) = scene.shard.of(Attach)
        assert attach.chunk == THERE
        assert (attach.at.x, attach.at.y) == (60, 7)


# Commands


async def test_a_command_goes_to_its_shard_and_back(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        ack = await client.command("c-1")
        assert (ack["id"], ack["status"], ack["seq"]) == ("c-1", "accepted", 1)
        await scene.shard.finish(client.ticket.session)
        result = await client.until("result")
        assert (result["id"], result["status"], result["seq"]) == ("c-1", "completed", 2)
        assert (result["chunk"], result["position"]) == ("0:0", {"x": 3, "y": 4})


async def test_a_pipelined_command_goes_straight_to_its_ack(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        challenge = client.seen[0]["challenge"]
        proof = {
            "nonce": challenge["nonce"],
            "signature": client.sign("c-1", MOVE, challenge),
        }
        await client.say(type="command_req", id="c-1", command=MOVE, answer=proof)
        ack = await client.until("ack")
        assert ack["status"] == "accepted"
        assert "challenge" not in [frame["type"] for frame in client.seen]


async def test_the_shards_refusal_is_passed_on(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        scene.shard.refuse = "not_walkable"
        client = await scene.connect(await scene.ticket())
        ack = await client.command("c-1")
        assert (ack["status"], ack["code"]) == ("rejected", "not_walkable")
        assert "challenge" in ack
        assert "seq" not in ack


async def test_what_is_said_is_heard_in_the_chunk(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        ada = await scene.connect(await scene.ticket("ada"))
        bob = await scene.connect(await scene.ticket("bob"))
        await bob.until("chunk_static")
        await ada.command("s-1", SAY)
        assert (await ada.until("result"))["status"] == "completed"
        delta = await bob.until("chunk_delta")
        assert delta["events"] == [{"type": "said", "id": "agt_ada", "text": "hello"}]


async def test_a_cancel_ends_the_command_in_flight(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.command("c-1")
        await client.say(type="cancel", id="c-1")
        result = await client.until("result")
        assert (result["status"], result["reason"]) == ("failed", "cancelled")
        assert len(scene.shard.of(CancelOffered)) == 1


async def test_commands_are_limited_by_the_session_and_told_when_to_come_back(
    autojump_clock: MockClock,
) -> None:
    async with a_scene(commands_per_s=2, chat_per_min=0) as scene:
        client = await scene.connect(await scene.ticket())
        for number in range(4):
            assert (await client.command(f"s-{number}", SAY))["status"] == "accepted"
        await client.say(type="command_req", id="s-5", command=SAY)
        ack = await client.until("ack")
        assert ack["code"] == "rate_limited"
        await trio.sleep(ack["retry_after_ms"] / 1000)
        assert (await client.command("s-5", SAY))["status"] == "accepted"


async def test_chat_is_limited_by_the_agent(autojump_clock: MockClock) -> None:
    async with a_scene(commands_per_s=0, chat_per_min=2) as scene:
        client = await scene.connect(await scene.ticket())
        await client.command("s-1", SAY)
        await client.command("s-2", SAY)
        await client.say(type="command_req", id="s-3", command=SAY)
        assert (await client.until("ack"))["code"] == "rate_limited"
        assert (await client.command("c-1"))["status"] == "accepted"


async def test_wrong_answers_put_the_agent_on_cooldown_on_every_gateway(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        ticket = await scene.ticket()
        client = await scene.connect(ticket)
        for number in range(3):
            await client.say(type="command_req", id=f"c-{number}", command=MOVE)
            nonce = (await client.until("challenge"))["nonce"]
            await client.say(type="answer", id=f"c-{number}", nonce=nonce, signature="wrong")
            assert (await client.until("ack"))["code"] == "invalid_signature"
        await client.say(type="command_req", id="c-9", command=MOVE)
        ack = await client.until("ack")
        assert ack["code"] == "cooldown"
        assert 29_000 < ack["retry_after_ms"] <= 30_000
        elsewhere = await (await scene.gateway("gateway-2")).connect(ticket)
        await elsewhere.say(type="command_req", id="c-9", command=MOVE)
        assert (await elsewhere.until("ack"))["code"] == "cooldown"
        await trio.sleep(30)
        assert (await elsewhere.command("c-9"))["status"] == "accepted"


async def test_late_answers_count_too(autojump_clock: MockClock) -> None:
    async with a_scene(commands_per_s=0) as scene:
        client = await scene.connect(await scene.ticket())
        for number in range(5):
            await client.say(type="command_req", id=f"c-{number}", command=MOVE)
            challenge = await client.until("challenge")
            await trio.sleep(2.1)
            signature = client.sign(f"c-{number}", MOVE, challenge)
            await client.say(
                type="answer", id=f"c-{number}", nonce=challenge["nonce"], signature=signature
            )
            assert (await client.until("ack"))["code"] == "challenge_expired"
        await client.say(type="command_req", id="c-9", command=MOVE)
        assert (await client.until("ack"))["code"] == "cooldown"


async def test_an_accepted_command_forgives_wrong_answers(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        for number in range(4):
            await client.say(type="command_req", id=f"c-{number}", command=SAY)
            nonce = (await client.until("challenge"))["nonce"]
            await client.say(type="answer", id=f"c-{number}", nonce=nonce, signature="wrong")
            assert (await client.until("ack"))["code"] == "invalid_signature"
            if number == 1:
                assert (await client.command("s-1", SAY))["status"] == "accepted"


async def test_a_session_without_chat_may_not_say(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        ticket = await scene.ticket(scopes=frozenset({Scope.ACT, Scope.OBSERVE}))
        client = await scene.connect(ticket)
        await client.say(type="command_req", id="s-1", command=SAY)
        assert (await client.until("ack"))["code"] == "scope_missing"


# What goes wrong on the way


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


# What is shown


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


# Frames that are too much


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
