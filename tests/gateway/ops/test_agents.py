"""What operators do to agents, and what agents notice of it."""

from __future__ import annotations

from typing import Any

import pytest

from common.envelopes import Detach, SessionEnded
from common.errors import Unavailable
from common.grid import AgentId, ChunkId, GatewayId, SessionId
from common.limits import MUTE_SECONDS_MAX
from common.operators import Role
from gateway.moderation import Gag


async def test_a_mute_is_in_force_here_at_once_and_until_it_is_over(
    house: Any, autojump_clock: Any
) -> None:
    ada, token = AgentId((await house.sign_up())["agent_id"]), await house.operator(Role.OPERATOR)
    response = await house.call("POST", f"/ops/agents/{ada}/mute", {"seconds": 60}, token)
    answer = await response.get_json()
    assert answer["agent_id"] == ada
    now_ms = house.outside.clock.now_ms()
    gag = house.outside.moderator.gag(ada, "hello", now_ms)
    assert gag.code == "muted"
    assert 59_000 < gag.retry_after_ms <= 60_000
    assert house.outside.moderator.gag(ada, "hello", now_ms + 61_000) is None
    assert (await house.call("DELETE", f"/ops/agents/{ada}/mute", token=token)).status_code == 204
    assert house.outside.moderator.gag(ada, "hello", now_ms) is None


@pytest.mark.parametrize("seconds", [0, -1, MUTE_SECONDS_MAX + 1, "60", None, 1.5])
async def test_a_mute_has_a_length_that_makes_sense(
    house: Any, autojump_clock: Any, seconds: object
) -> None:
    token = await house.operator()
    response = await house.call("POST", "/ops/agents/agt_0/mute", {"seconds": seconds}, token)
    assert response.status_code == 422


async def opened(house: Any) -> tuple[str, SessionId, str]:
    """Ada's API key, her session that gateway-1 serves, and its token."""
    key = (await house.sign_up())["api_key"]
    session = await house.open_session(key)
    id = SessionId(session["session_id"])
    await house.outside.bus.bind(id, GatewayId("gateway-1"))
    return key, id, session["session_token"]


async def told(house: Any, act: Any) -> list[object]:
    """What gateway-1 hears while ``act`` is done."""
    heard = []
    async with house.outside.bus.inbound(GatewayId("gateway-1")) as inbound:
        await act()
        while inbound.statistics().current_buffer_used:
            heard.append(inbound.receive_nowait())
    return heard


async def test_a_kick_ends_the_session_and_leaves_the_key(house: Any, autojump_clock: Any) -> None:
    key, session, session_token = await opened(house)
    token, ada = await house.operator(Role.OPERATOR), next(iter(house.postgres.agents))

    async def kick() -> None:
        assert (await house.call("POST", f"/ops/agents/{ada}/kick", token=token)).status_code == 204

    assert await told(house, kick) == [SessionEnded(session)]
    current = await house.call("GET", "/v1/sessions/current", token=session_token)
    assert current.status_code == 401
    slot = house.outside.routes.slot(ChunkId("0:0"))
    (entry,) = house.redis.stream(slot).entries
    assert Detach(session, ada, ChunkId("0:0")) in (entry if isinstance(entry, tuple) else [entry])
    await house.open_session(key)


async def test_a_banned_agent_is_refused_with_its_key_and_its_session_everywhere(
    house: Any, autojump_clock: Any
) -> None:
    key, session, session_token = await opened(house)
    token, ada = await house.operator(), next(iter(house.postgres.agents))

    async def ban() -> None:
        assert (await house.call("POST", f"/ops/agents/{ada}/ban", token=token)).status_code == 204

    assert await told(house, ban) == [SessionEnded(session)]
    for method, path, bearer in (
        ("POST", "/v1/sessions", key),
        ("GET", "/v1/keys", key),
        ("POST", "/v1/keys", key),
        ("DELETE", "/v1/keys/none", key),
        ("GET", "/v1/sessions/current", session_token),
        ("DELETE", "/v1/sessions/current", session_token),
        ("GET", "/v1/agent", session_token),
    ):
        response = await house.call(method, path, token=bearer)
        assert response.status_code == 403, path
        assert (await response.get_json(force=True))["code"] == "banned"
    assert (await house.call("GET", "/v1/keys", token="nonsense")).status_code == 401
    assert (await house.call("DELETE", f"/ops/agents/{ada}/ban", token=token)).status_code == 204
    await house.open_session(key)


async def test_who_could_not_be_told_is_told_when_asked_again(
    house: Any, autojump_clock: Any
) -> None:
    _, session, _ = await opened(house)
    token, ada = await house.operator(), next(iter(house.postgres.agents))
    end = house.outside.bus.end

    async def fail(*_: object) -> None:
        raise Unavailable("Redis is down")

    house.outside.bus.end = fail
    assert (await house.call("POST", f"/ops/agents/{ada}/ban", token=token)).status_code == 503
    house.outside.bus.end = end

    async def ban() -> None:
        assert (await house.call("POST", f"/ops/agents/{ada}/ban", token=token)).status_code == 204

    assert await told(house, ban) == [SessionEnded(session)]


@pytest.mark.parametrize(
    ("method", "what"),
    [("POST", "mute"), ("DELETE", "mute"), ("POST", "kick"), ("POST", "ban"), ("DELETE", "ban")],
)
async def test_nobody_is_not_found(house: Any, autojump_clock: Any, method: str, what: str) -> None:
    token = await house.operator()
    for agent in ("agt_0", "%00", "a" * 65):
        body = {"seconds": 1} if (method, what) == ("POST", "mute") else ...
        response = await house.call(method, f"/ops/agents/{agent}/{what}", body, token)
        assert response.status_code == 404


async def test_agents_are_listed_page_by_page(house: Any, autojump_clock: Any) -> None:
    token = await house.operator(Role.VIEWER)
    for name in ("Ada", "Bob", "Cid"):
        await house.sign_up(name)
    names: list[list[str]] = []
    cursor = ""
    while cursor is not None:
        query = f"limit=2&cursor={cursor}" if cursor else "limit=2"
        page = await (await house.call("GET", f"/ops/agents?{query}", token=token)).get_json()
        names.append([item["name"] for item in page["items"]])
        cursor = page["next_cursor"]
    assert [len(page) for page in names] == [2, 1]
    assert sorted(name for page in names for name in page) == ["Ada", "Bob", "Cid"]
    found = await (await house.call("GET", "/ops/agents?name=bob", token=token)).get_json()
    assert [item["name"] for item in found["items"]] == ["Bob"]


async def test_banned_words_are_in_force_here_at_once(house: Any, autojump_clock: Any) -> None:
    token, viewer = await house.operator(Role.OPERATOR), await house.operator(Role.VIEWER)
    words = {"words": ["darn", "Two Words", "darn"]}
    response = await house.call("PUT", "/ops/moderation/words", words, token)
    assert await response.get_json() == words
    shown = await house.call("GET", "/ops/moderation/words", token=viewer)
    assert await shown.get_json() == words
    moderator, ada = house.outside.moderator, AgentId("agt_1")
    assert moderator.gag(ada, "oh, two words", 0) == Gag("moderated")
    await house.call("PUT", "/ops/moderation/words", {"words": []}, token)
    assert moderator.gag(ada, "oh, two words", 0) is None


@pytest.mark.parametrize(
    "body",
    [{}, {"words": ["\n"]}, {"words": [""]}, {"words": ["a" * 65]}, {"words": "a"},
     {"words": ["a"] * 1001}, {"words": [], "more": 1}],
)  # fmt: skip
async def test_words_that_are_none_are_refused(
    house: Any, autojump_clock: Any, body: object
) -> None:
    token = await house.operator()
    assert (await house.call("PUT", "/ops/moderation/words", body, token)).status_code == 422
