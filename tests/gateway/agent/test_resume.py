"""Resume, to the letter of the protocol: what is told again, and which tokens are good."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from common.bus import Binding
from common.envelopes import AckLine, CommandOffered
from common.grid import CommandId, GatewayId, SessionId
from common.limits import AGENT_QUEUE_MAX, RESUME_MS, SESSION_LINES_MAX
from common.refusals import AckCode
from common.tokens import Kind, new_token, parse_token
from tests.gateway.agent.scene import MOVE, SAY, Client, Scene, a_scene


def resume_token(client: Client) -> str:
    token: str = client.seen[0]["resume_token"]
    return token


def told(client: Client) -> list[tuple[str, int]]:
    """What was told of commands, in order."""
    return [
        (frame["type"], frame["seq"])
        for frame in client.seen
        if frame["type"] in ("ack", "result") and "seq" in frame
    ]


async def converse(client: Client, frame: dict[str, Any] | None = None) -> None:
    """Let the client be heard, so that only its fresh token is good."""
    await client.say(**(frame or {"type": "cancel", "id": "none"}))
    await client.until("error")
    await trio.sleep(0.01)


async def away(scene: Scene, seconds: float = 1) -> tuple[Client, str]:
    """A client that had one command accepted and finished, another accepted, and was cut."""
    client = await scene.connect(await scene.ticket())
    await client.command("c-1")
    await scene.shard.finish(client.ticket.session)
    await client.until("result")
    await client.command("c-2")
    await client.gone()
    await trio.sleep(seconds)
    return client, resume_token(client)


@pytest.mark.parametrize(
    ("last_seq", "expected"),
    [
        (0, [("ack", 1), ("result", 2), ("ack", 3), ("result", 4)]),
        (1, [("result", 2), ("ack", 3), ("result", 4)]),
        (2, [("ack", 3), ("result", 4)]),
        (3, [("result", 4)]),
        (4, []),
    ],
)
async def test_everything_after_last_seq_is_told_in_order_and_then_the_chunk(
    autojump_clock: MockClock, last_seq: int, expected: list[tuple[str, int]]
) -> None:
    async with a_scene() as scene:
        client, token = await away(scene)
        await scene.shard.finish(client.ticket.session)
        again = await scene.resume(client.ticket, token, last_seq)
        assert again.seen[0]["resumed"] is True
        assert again.seen[0]["resume_token"] != token
        await again.until("chunk_static")
        assert told(again) == expected
        await again.command("c-3")
        assert told(again)[len(expected) :] == [("ack", 5)]


async def test_an_agent_goes_on_on_any_gateway_with_its_command_still_in_flight(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client, token = await away(scene, seconds=55)
        elsewhere = await scene.gateway("gateway-2")
        again = await elsewhere.resume(client.ticket, token, 3)
        await again.say(type="command_req", id="c-3", command=MOVE)
        assert (await again.until("ack"))["code"] == "in_flight"
        await scene.shard.finish(client.ticket.session)
        assert (await again.until("result"))["id"] == "c-2"
        assert (await again.command("c-3"))["seq"] == 5


@pytest.mark.parametrize("refuse", [None, "not_walkable"])
async def test_what_is_under_way_when_the_connection_is_lost_is_decided_once(
    autojump_clock: MockClock, refuse: AckCode | None
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.until("chunk_static")
        scene.shard.slow = True
        await client.offer("c-1")
        await trio.sleep(0.1)
        command = scene.shard.kept.pop()
        await client.gone()
        scene.shard.slow = False
        elsewhere = await scene.gateway("gateway-2")
        again = await elsewhere.resume(client.ticket, resume_token(client), 0)
        await again.say(type="command_req", id="c-1", command=MOVE)
        await again.say(type="command_req", id="c-2", command=MOVE)
        other = await again.until("ack")
        assert (other["id"], other["code"]) == ("c-2", "in_flight")
        scene.shard.refuse = refuse
        await scene.shard.hear(*command)
        ack = await again.until("ack")
        assert (ack["id"], ack.get("code")) == ("c-1", refuse)
        await trio.sleep(3)
        assert len(scene.shard.of(CommandOffered)) == 2, "one, and that it was heard late"
        scene.shard.refuse = None
        if refuse is not None:
            assert (await again.command("c-1"))["seq"] == 1


async def test_what_is_refused_while_a_session_is_resumed_may_be_offered_anew(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.until("chunk_static")
        scene.shard.slow = True
        await client.offer("c-1")
        await trio.sleep(0.1)
        await client.gone()
        elsewhere = await scene.gateway("gateway-2")

        async def decide() -> None:
            while len(scene.shard.kept) < 2:  # The command, and who comes back.
                await trio.sleep(0.01)
            command = scene.shard.kept.pop(0)
            scene.shard.slow, scene.shard.refuse = False, "not_walkable"
            await scene.shard.hear(*command)
            scene.shard.refuse = None
            await scene.shard.hear_kept()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(decide)
            again = await elsewhere.resume(client.ticket, resume_token(client), 0)
        assert (await again.command("c-1"))["seq"] == 1


async def test_an_ack_that_was_lost_with_the_connection_is_told_once(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.until("chunk_static")
        scene.shard.deaf = True
        await client.offer("c-1")
        await trio.sleep(0.1)
        await client.gone()
        scene.shard.deaf = False
        elsewhere = await scene.gateway("gateway-2")
        again = await elsewhere.resume(client.ticket, resume_token(client), 0)
        # The client knows of no ack, so it sends the command again, as it should.
        assert (await again.command("c-1"))["seq"] == 1
        await scene.shard.finish(client.ticket.session)
        await again.until("result")
        await trio.sleep(30)
        assert told(again) == [("ack", 1), ("result", 2)]
        assert len({offer.id for offer in scene.shard.of(CommandOffered)}) == 1


async def test_what_ends_while_the_client_comes_back_is_told_once(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client, token = await away(scene)
        again = scene.knock(client.ticket, f"resume={token}&last_seq=2")
        for _ in range(30):  # Somewhere between the attach and the first frame.
            await trio.lowlevel.checkpoint()
        await scene.shard.finish(client.ticket.session)
        assert (await again._to_client[1].receive())["type"] == "websocket.accept"
        await again.until("chunk_static")
        await again.command("c-3")
        assert told(again) == [("ack", 3), ("result", 4), ("ack", 5)]


async def test_lines_that_redis_no_longer_has_come_from_postgres(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client, token = await away(scene)
        session = client.ticket.session
        await scene.shard.finish(session)
        del scene.redis.lines[session][:3]
        again = await scene.resume(client.ticket, token, 0)
        await again.until("chunk_static")
        assert told(again) == [("ack", 1), ("result", 2), ("ack", 3), ("result", 4)]


async def test_a_redis_that_lost_everything_loses_no_line(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client, token = await away(scene)
        await scene.shard.finish(client.ticket.session)
        scene.redis.forget()
        again = await scene.resume(client.ticket, token, 1)
        await again.until("chunk_static")
        assert told(again) == [("result", 2), ("ack", 3), ("result", 4)]


async def test_a_result_that_is_recorded_late_is_waited_for(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client, token = await away(scene)
        session = client.ticket.session
        await scene.shard.finish(session)
        scene.redis.lines.clear()
        kept = scene.postgres.commands[session, CommandId("c-2")]
        late, kept.result = kept.result, None
        again = scene.knock(client.ticket, f"resume={token}&last_seq=2")
        await trio.sleep(3)
        kept.result = late
        assert (await again._to_client[1].receive())["type"] == "websocket.accept"
        await again.until("chunk_static")
        assert told(again) == [("ack", 3), ("result", 4)]


async def test_a_result_that_never_appears_is_unavailable_and_the_token_stays_good(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client, token = await away(scene)
        session = client.ticket.session
        await scene.shard.finish(session)
        scene.redis.lines.clear()
        kept = scene.postgres.commands[session, CommandId("c-2")]
        late, kept.result = kept.result, None
        refused = await scene.refused(client.ticket, f"resume={token}&last_seq=2")
        assert refused.status == 503
        kept.result = late
        await scene.resume(client.ticket, token, 2)


async def test_more_lines_than_a_queue_holds_are_all_told(autojump_clock: MockClock) -> None:
    async with a_scene(commands_per_s=0, chat_per_min=0) as scene:
        client = await scene.connect(await scene.ticket())
        for number in range(AGENT_QUEUE_MAX):
            await client.command(f"s-{number}", SAY)
        await client.until("result")
        await client.gone()
        again = await scene.resume(client.ticket, resume_token(client), 0)
        await again.until("chunk_static")
        assert [seq for _, seq in told(again)] == list(range(1, 2 * AGENT_QUEUE_MAX + 1))


async def test_ids_of_before_are_answered_as_before_on_another_gateway(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client, token = await away(scene)
        elsewhere = await scene.gateway("gateway-2")
        again = await elsewhere.resume(client.ticket, token, 3)
        await again.say(type="command_req", id="c-1", command=SAY)
        assert (await again.until("ack"))["seq"] == 1
        assert (await again.until("result"))["seq"] == 2
        assert len(scene.shard.of(CommandOffered)) == 2


async def test_ids_of_long_before_are_answered_from_postgres(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client, token = await away(scene)
        scene.redis.lines.clear()
        again = await scene.resume(client.ticket, token, 3)
        await again.say(type="command_req", id="c-1", command=MOVE)
        assert (await again.until("ack"))["seq"] == 1
        assert (await again.until("result"))["seq"] == 2
        scene.postgres.down = True
        await again.say(type="command_req", id="c-0", command=MOVE)
        assert (await again.until("ack"))["code"] == "unavailable"


async def test_a_used_token_is_refused_once_the_client_was_heard(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client, token = await away(scene)
        again = await scene.resume(client.ticket, token, 3)
        await converse(again)
        await again.gone()
        refused = await scene.refused(client.ticket, f"resume={token}&last_seq=3")
        assert (refused.status, refused.problem["code"]) == (409, "resume_refused")
        assert (await scene.resume(client.ticket, resume_token(again), 3)).seen[0]["resumed"]


async def test_a_client_that_speaks_and_goes_at_once_was_heard(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client, token = await away(scene)
        again = await scene.resume(client.ticket, token, 3)
        await again.say(type="cancel", id="none")
        await again.gone()
        assert (await scene.refused(client.ticket, f"resume={token}&last_seq=3")).status == 409


async def test_a_client_that_speaks_while_we_wait_for_postgres_was_heard(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_session: object) -> None:
        await trio.sleep_forever()

    async with a_scene() as scene:
        client, token = await away(scene)
        again = await scene.resume(client.ticket, token, 3)
        with monkeypatch.context() as patched:
            patched.setattr(scene.outside.accounts, "session", never)
            scene.redis.cut()
            await trio.sleep(0.2)
            await again.say(type="cancel", id="none")
            await again.gone()
        assert (await scene.refused(client.ticket, f"resume={token}&last_seq=3")).status == 409


async def test_the_old_token_stays_good_until_the_client_was_heard(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client, token = await away(scene)
        for _ in range(3):
            client = await scene.resume(client.ticket, token, 3)
            await client.gone()
        await scene.resume(client.ticket, resume_token(client), 3)


async def test_the_first_token_is_good_for_a_first_connection_that_was_cut(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        ticket = await scene.ticket()
        client = await scene.connect(ticket)
        await client.gone()
        again = await scene.resume(ticket, ticket.resume, 0)
        await converse(again)
        await again.gone()
        assert (await scene.refused(ticket, f"resume={ticket.resume}&last_seq=0")).status == 409


# Two connections race for one session: tokens are offered and connections bound in any order.


async def a_race(
    scene: Scene, client: Client, token: str, monkeypatch: pytest.MonkeyPatch, *, speaks: bool
) -> tuple[Client, Client]:
    """The winner is offered its token first, and bound last; the other may speak in between."""
    elsewhere = await scene.gateway("gateway-2")
    bind, may_bind, won = scene.outside.bus.bind, trio.Event(), []

    async def bind_late(session: SessionId, gateway: GatewayId) -> Binding:
        await may_bind.wait()
        return await bind(session, gateway)

    async def win() -> None:
        won.append(await scene.resume(client.ticket, token, 3))

    with monkeypatch.context() as patched:
        patched.setattr(scene.outside.bus, "bind", bind_late)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(win)
            await trio.sleep(0.1)
            loser = await elsewhere.resume(client.ticket, token, 3)
            if speaks:
                await converse(loser)
            may_bind.set()
    assert (await loser.end())[1] == 4001
    return won[0], loser


@pytest.mark.parametrize("loser_speaks", [False, True])
@pytest.mark.parametrize("winner_speaks", [False, True])
async def test_who_wins_a_race_resumes_with_its_own_token(
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    winner_speaks: bool,
    loser_speaks: bool,
) -> None:
    async with a_scene() as scene:
        client, token = await away(scene)
        winner, loser = await a_race(scene, client, token, monkeypatch, speaks=loser_speaks)
        if winner_speaks:
            await converse(winner)
        await winner.gone()
        if winner_speaks or loser_speaks:
            refused = await scene.refused(client.ticket, f"resume={token}&last_seq=3")
            assert (refused.status, refused.problem["code"]) == (409, "resume_refused")
        if winner_speaks:
            query = f"resume={resume_token(loser)}&last_seq=3"
            assert (await scene.refused(client.ticket, query)).status == 409
        assert (await scene.resume(client.ticket, resume_token(winner), 3)).seen[0]["resumed"]


async def test_a_winner_makes_its_token_good_that_the_losers_last_word_has_outdated(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_scene() as scene:
        client, token = await away(scene)
        winner, loser = await a_race(scene, client, token, monkeypatch, speaks=False)
        spoken = parse_token(Kind.RESUME, resume_token(loser))
        assert spoken is not None
        assert await scene.accounts.confirm_resume(client.ticket.session, spoken.hash)
        await converse(winner)
        await winner.gone()
        assert (await scene.refused(client.ticket, f"resume={token}&last_seq=3")).status == 409
        assert (await scene.resume(client.ticket, resume_token(winner), 3)).seen[0]["resumed"]


async def test_a_pong_after_the_end_confirms_nothing(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        first = await scene.connect(await scene.ticket())
        first.closes = False
        elsewhere = await scene.gateway("gateway-2")
        second = await elsewhere.connect(first.ticket)
        await first.end()
        (conversation,) = scene.agents._conversations
        conversation.confirm()
        await trio.sleep(0.1)
        await second.gone()
        assert (await scene.resume(first.ticket, resume_token(second), 0)).seen[0]["resumed"]


@pytest.mark.parametrize(
    "query",
    [
        "resume=&last_seq=0",
        "resume=x&last_seq=0",
        "resume={other}&last_seq=0",
        "resume={token}x&last_seq=0",
        "resume={token}&last_seq=",
        "resume={token}&last_seq=x",
        "resume={token}&last_seq=-1",
        "resume={token}&last_seq=4",
        "resume={token}&last_seq=999999999999999",
        "resume={token}&last_seq=99999999999999999999999999",
    ],
)
async def test_what_can_not_be_resumed_is_refused_before_the_upgrade(
    autojump_clock: MockClock, query: str
) -> None:
    async with a_scene() as scene:
        client, token = await away(scene)
        asked = query.format(token=token, other=new_token(Kind.RESUME).text)
        refused = await scene.refused(client.ticket, asked)
        assert (refused.status, refused.problem["code"]) == (409, "resume_refused")
        await scene.resume(client.ticket, token, 3)


async def test_a_refused_resume_disturbs_no_live_connection(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await scene.refused(client.ticket, "resume=x&last_seq=0")
        assert (await client.command("c-1"))["status"] == "accepted"


async def test_after_sixty_seconds_there_is_nothing_to_resume(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client, token = await away(scene, seconds=RESUME_MS / 1000 + 0.1)
        for _ in range(2):
            refused = await scene.refused(client.ticket, f"resume={token}&last_seq=3")
            assert (refused.status, refused.problem["code"]) == (409, "resume_refused")
        assert (await scene.refused(client.ticket)).status == 401, "nor to take over"


async def test_a_token_without_its_session_token_is_unauthorized(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client, token = await away(scene)
        query = f"resume={token}&last_seq=0"
        assert (await scene.refused(client.ticket, query, authorization="")).status == 401


async def test_a_session_whose_agent_left_the_world_can_not_begin_again(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client, token = await away(scene)
        del scene.shard.sat[client.ticket.session]  # It left, and Redis was flushed since.
        refused = await scene.refused(client.ticket, f"resume={token}&last_seq=3")
        assert (refused.status, refused.problem["code"]) == (409, "resume_refused")


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("with_resume", [False, True])
async def test_a_second_connection_takes_over_and_closes_the_first_with_4001(
    autojump_clock: MockClock, elsewhere: bool, with_resume: bool
) -> None:
    async with a_scene() as scene:
        first = await scene.connect(await scene.ticket())
        await first.command("c-1")
        other = await scene.gateway("gateway-2") if elsewhere else scene
        query = f"resume={resume_token(first)}&last_seq=0" if with_resume else ""
        second = await other.connect(first.ticket, query)
        goodbye, code = await first.end()
        assert (goodbye["type"], goodbye["code"], goodbye["resume"]) == ("goodbye", 4001, False)
        assert code == 4001
        assert second.seen[0]["resumed"] is with_resume
        await scene.shard.finish(first.ticket.session)
        assert (await second.until("result"))["seq"] == 2
        assert told(second) == [("ack", 1), ("result", 2)][not with_resume :]
        await trio.sleep(30)
        assert (await second.command("c-2"))["seq"] == 3


async def test_a_takeover_keeps_the_session_present_when_the_first_connection_ends_late(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        first = await scene.connect(await scene.ticket())
        first.closes = False
        second = await scene.connect(first.ticket)
        await first.end()
        await trio.sleep(120)
        assert (await second.command("c-1"))["status"] == "accepted"
        assert scene.agents.count == 1


async def test_a_session_with_more_lines_than_redis_keeps_is_resumed_from_the_start(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        session = client.ticket.session
        await client.command("c-0")
        template = scene.shard.sat[session].admitted[CommandId("c-0")]
        await scene.shard.finish(session)
        await client.until("result")
        await client.gone()
        for seq in range(3, SESSION_LINES_MAX + 10, 2):
            await _accept_and_finish(scene, template, seq)
        again = await scene.resume(client.ticket, resume_token(client), 1)
        await again.until("chunk_static")
        assert [seq for _, seq in told(again)] == list(range(2, SESSION_LINES_MAX + 11))


async def _accept_and_finish(scene: Scene, template: AckLine, seq: int) -> None:
    sat = scene.shard.sat[template.session]
    id = CommandId(f"c-{seq}")
    line = attrs.evolve(template, id=id, seq=seq)
    kept = scene.postgres.commands[template.session, template.id]
    scene.postgres.commands[template.session, id] = attrs.evolve(kept, ack=line)
    sat.seq, sat.in_flight = seq, id
    await scene.shard.publish(line)
    await scene.shard.finish(template.session)
