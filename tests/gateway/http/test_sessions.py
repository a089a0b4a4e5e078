from __future__ import annotations

from typing import Any

import pytest
import trio

from common.adapters.memory_gateway_bus import MemoryGatewayBus
from common.challenge import decode_base64url
from common.envelopes import Detach, SessionEnded
from common.grid import ChunkId, GatewayId, SessionId
from common.limits import RESUME_MS
from common.tokens import Kind, parse_token


async def test_a_session_has_all_that_a_connection_needs(house: Any, autojump_clock: Any) -> None:
    agent = await house.sign_up()
    session = await house.open_session(agent["api_key"])
    assert set(session) == {
        "session_id",
        "session_token",
        "challenge_secret",
        "resume_token",
        "ws_path",
        "scopes",
        "expires_at",
    }
    assert session["ws_path"] == "/v1/agent"
    assert session["scopes"] == ["act", "chat", "observe"]
    assert session["expires_at"] == "2026-01-02T00:00:00.000Z"
    assert len(decode_base64url(session["challenge_secret"])) == 32
    resume = parse_token(Kind.RESUME, session["resume_token"])
    assert resume is not None
    kept = house.postgres.sessions[session["session_id"]]
    assert kept.resume_hashes == (resume.hash,)
    token = parse_token(Kind.SESSION, session["session_token"])
    assert token is not None
    assert token.hash == kept.token_hash


async def test_no_body_at_all_is_an_empty_one(house: Any, autojump_clock: Any) -> None:
    agent = await house.sign_up()
    response = await house.call("POST", "/v1/sessions", token=agent["api_key"])
    assert response.status_code == 201


async def test_a_session_has_at_most_its_keys_scopes(house: Any, autojump_clock: Any) -> None:
    agent = await house.sign_up()
    body = {"scopes": ["observe", "chat"]}
    weak = await (await house.call("POST", "/v1/keys", body, agent["api_key"])).get_json()
    assert (await house.open_session(weak["api_key"]))["scopes"] == ["chat", "observe"]
    less = await house.open_session(weak["api_key"], scopes=["observe"])
    assert less["scopes"] == ["observe"]
    response = await house.call("POST", "/v1/sessions", {"scopes": ["act"]}, weak["api_key"])
    problem = await response.get_json(force=True)
    assert (response.status_code, problem["code"]) == (403, "scope_missing")


async def test_the_current_session_is_shown_without_secrets(
    house: Any, autojump_clock: Any
) -> None:
    agent = await house.sign_up()
    session = await house.open_session(agent["api_key"])
    token = session["session_token"]
    response = await house.call("GET", "/v1/sessions/current", token=token)
    assert response.status_code == 200
    shown = await response.get_json()
    assert shown == {
        "session_id": session["session_id"],
        "agent_id": agent["agent_id"],
        "key_id": agent["key_id"],
        "scopes": ["act", "chat", "observe"],
        "created_at": "2026-01-01T00:00:00.000Z",
        "expires_at": "2026-01-02T00:00:00.000Z",
    }


async def test_a_new_session_ends_the_one_before(house: Any, autojump_clock: Any) -> None:
    agent = await house.sign_up()
    old = await house.open_session(agent["api_key"])
    async with house.outside.bus.inbound(GatewayId("gw")) as inbound:
        await house.outside.bus.bind(SessionId(old["session_id"]), GatewayId("gw"))
        new = await house.open_session(agent["api_key"])
        assert inbound.receive_nowait() == SessionEnded(SessionId(old["session_id"]), replaced=True)
    for session, status in ((old, 401), (new, 200)):
        response = await house.call("GET", "/v1/sessions/current", token=session["session_token"])
        assert response.status_code == status


async def test_a_session_that_is_ended_is_over_everywhere(house: Any, autojump_clock: Any) -> None:
    agent = await house.sign_up()
    session = await house.open_session(agent["api_key"])
    id, token = SessionId(session["session_id"]), session["session_token"]
    async with house.outside.bus.inbound(GatewayId("gw")) as inbound:
        await house.outside.bus.bind(id, GatewayId("gw"))
        response = await house.call("DELETE", "/v1/sessions/current", token=token)
        assert (response.status_code, await response.get_data()) == (204, b"")
        assert inbound.receive_nowait() == SessionEnded(id, replaced=False)
    ((_, detach),) = house.redis.stream(house.outside.routes.slot("0:0")).entries
    assert detach == Detach(id, agent["agent_id"], ChunkId("0:0"))
    assert (await house.call("GET", "/v1/sessions/current", token=token)).status_code == 401
    assert (await house.call("DELETE", "/v1/sessions/current", token=token)).status_code == 401


async def test_a_session_whose_agent_left_for_want_of_a_connection_is_over(
    house: Any, autojump_clock: Any
) -> None:
    agent = await house.sign_up()
    session = await house.open_session(agent["api_key"])
    token = session["session_token"]
    gateway = MemoryGatewayBus(house.redis)
    binding = await gateway.bind(SessionId(session["session_id"]), GatewayId("gw_1"))
    await gateway.release(SessionId(session["session_id"]), binding.connection)
    await trio.sleep(RESUME_MS / 1000 - 1)
    assert (await house.call("GET", "/v1/sessions/current", token=token)).status_code == 200
    await trio.sleep(2)
    assert (await house.call("GET", "/v1/sessions/current", token=token)).status_code == 401
    assert house.postgres.sessions[session["session_id"]].ended_at is not None


async def test_a_session_is_over_after_a_day(house: Any, autojump_clock: Any) -> None:
    session = await house.open_session((await house.sign_up())["api_key"])
    for seconds, status in ((86_399.9, 200), (0.1, 401)):
        autojump_clock.jump(seconds)
        response = await house.call("GET", "/v1/sessions/current", token=session["session_token"])
        assert response.status_code == status


@pytest.mark.parametrize("sessions_per_min", [0, 30])
async def test_without_redis_there_are_no_new_sessions(
    house: Any, autojump_clock: Any, sessions_per_min: int
) -> None:
    house.set(sessions_per_min=sessions_per_min)
    agent = await house.sign_up()
    house.redis.down = True
    response = await house.call("POST", "/v1/sessions", {}, agent["api_key"])
    problem = await response.get_json(force=True)
    assert (response.status_code, problem["code"]) == (503, "unavailable")
    assert response.headers["Retry-After"] == "1"
    assert not house.postgres.sessions


async def test_the_word_that_a_session_is_over_survives_a_hiccup_of_redis(
    house: Any, nursery: Any, autojump_clock: Any
) -> None:
    agent = await house.sign_up()
    session = await house.open_session(agent["api_key"])
    await house.outside.bus.bind(SessionId(session["session_id"]), GatewayId("gw"))
    house.redis.down = True

    async def come_back() -> None:
        await trio.sleep(0.2)
        house.redis.down = False

    nursery.start_soon(come_back)
    path = f"/v1/keys/{agent['key_id']}"
    assert (await house.call("DELETE", path, token=agent["api_key"])).status_code == 204
    assert not house.redis.bindings
