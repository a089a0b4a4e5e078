"""The endpoint over memory adapters: who comes in, and who is refused before the upgrade."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from common.bus import Binding
from common.envelopes import Attach, AttachRefused, SessionEnded
from common.grid import GatewayId, SessionId
from common.limits import (
    ATTACH_SECONDS_MAX,
    REOFFER_SECONDS,
)
from common.tokens import Kind, new_token
from gateway.agent.entrance import _unless_gone
from tests.gateway.agent.scene import THERE, a_scene


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
    "authorization",
    [
        "",
        "Bearer",
        "Bearer x",
        pytest.param(f"Bearer {new_token(Kind.SESSION).text}", id="nobody's"),
    ],
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
        assert (await client.next())["type"] == "session_ready"


async def test_no_room_is_unavailable(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        ticket = await scene.ticket()
        scene.shard.deaf = True
        client = scene.knock(ticket)
        await trio.sleep(0.1)
        await scene.shard._reply(scene.outside.gateway, AttachRefused(ticket.session, ticket.agent))
        assert (await client._to_client[1].receive())["status"] == 503


@pytest.mark.parametrize(("replaced", "code"), [(True, 4001), (False, 4003)])
async def test_who_is_over_by_a_shard_s_word_is_refused_or_closed(
    autojump_clock: MockClock, replaced: bool, code: int
) -> None:
    async with a_scene() as scene:
        inside, outside = await scene.ticket("ann"), await scene.ticket("bob")
        client = await scene.connect(inside)
        scene.shard.deaf = True
        knocking = scene.knock(outside)
        await trio.sleep(0.1)
        for ticket in (inside, outside):
            over = SessionEnded(ticket.session, replaced=replaced)
            await scene.shard._reply(scene.outside.gateway, over)
        assert (await knocking._to_client[1].receive())["status"] == 401
        assert (await client.end())[1] == code


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
