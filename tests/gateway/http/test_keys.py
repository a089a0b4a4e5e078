from __future__ import annotations

from typing import Any

import pytest

from common.envelopes import Detach, SessionEnded
from common.grid import ChunkId, GatewayId, SessionId


async def make_key(house: Any, api_key: str, **body: object) -> Any:
    response = await house.call("POST", "/v1/keys", body, api_key)
    assert response.status_code == 201, await response.get_data(as_text=True)
    return await response.get_json()


async def list_keys(house: Any, api_key: str) -> Any:
    response = await house.call("GET", "/v1/keys", token=api_key)
    assert response.status_code == 200
    return (await response.get_json())["keys"]


async def test_another_key_has_what_was_asked_for(house: Any, autojump_clock: Any) -> None:
    agent = await house.sign_up()
    autojump_clock.jump(1)
    made = await make_key(
        house, agent["api_key"], label="spare", expires_in_s=60, scopes=["observe", "act"]
    )
    assert set(made) == {"key_id", "api_key", "scopes", "expires_at"}
    assert made["scopes"] == ["act", "observe"]
    assert made["expires_at"] == "2026-01-01T00:01:01.000Z"
    first, second = await list_keys(house, made["api_key"])
    assert first["key_id"] == agent["key_id"]
    assert set(second) == {
        "key_id",
        "label",
        "scopes",
        "created_at",
        "expires_at",
        "last_used_at",
        "revoked_at",
    }
    assert (second["label"], second["revoked_at"]) == ("spare", None)


async def test_a_key_without_wishes_is_as_strong_as_its_maker(
    house: Any, autojump_clock: Any
) -> None:
    agent = await house.sign_up()
    weak = await make_key(house, agent["api_key"], scopes=["observe"])
    weaker = await make_key(house, weak["api_key"])
    assert (weaker["scopes"], weaker["expires_at"]) == (["observe"], None)


async def test_no_body_at_all_is_an_empty_one(house: Any, autojump_clock: Any) -> None:
    agent = await house.sign_up()
    assert (await house.call("POST", "/v1/keys", token=agent["api_key"])).status_code == 201


async def test_a_key_can_make_no_stronger_key(house: Any, autojump_clock: Any) -> None:
    agent = await house.sign_up()
    weak = await make_key(house, agent["api_key"], scopes=["observe"])
    response = await house.call("POST", "/v1/keys", {"scopes": ["act"]}, weak["api_key"])
    problem = await response.get_json(force=True)
    assert (response.status_code, problem["code"]) == (403, "scope_missing")


async def test_a_key_can_make_no_key_that_outlives_it(house: Any, autojump_clock: Any) -> None:
    agent = await house.sign_up()
    short = await make_key(house, agent["api_key"], expires_in_s=60)
    assert (await make_key(house, short["api_key"]))["expires_at"] == short["expires_at"]
    long = await make_key(house, short["api_key"], expires_in_s=3600)
    assert long["expires_at"] == short["expires_at"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"expires_in_s": 0}, "$.expires_in_s"),
        ({"expires_in_s": -1}, "$.expires_in_s"),
        ({"expires_in_s": 10**9}, "$.expires_in_s"),
        ({"expires_in_s": 10**30}, "$.expires_in_s"),
        ({"expires_in_s": "60"}, "$.expires_in_s"),
        ({"expires_in_s": True}, "$.expires_in_s"),
        ({"label": "x" * 65}, "$.label"),
        ({"label": "a\u0000b"}, "$.label"),
        ({"label": "a\n"}, "$.label"),
        ({"scopes": []}, "$.scopes"),
        ({"scopes": ["fly"]}, "$.scopes"),
        ({"scopes": "act"}, "$.scopes"),
        ({"colour": "red"}, "$.colour"),
    ],
)
async def test_a_wish_that_is_wrong_is_named(
    house: Any, autojump_clock: Any, body: object, path: str
) -> None:
    agent = await house.sign_up()
    response = await house.call("POST", "/v1/keys", body, agent["api_key"])
    problem = await response.get_json(force=True)
    assert (response.status_code, problem["code"]) == (422, "validation_failed")
    assert [error["path"] for error in problem["errors"]] == [path]


async def test_a_list_of_keys_never_has_a_secret(house: Any, autojump_clock: Any) -> None:
    agent = await house.sign_up()
    made = await make_key(house, agent["api_key"])
    response = await house.call("GET", "/v1/keys", token=agent["api_key"])
    text = await response.get_data(as_text=True)
    for key in (agent["api_key"], made["api_key"]):
        assert key not in text
        assert key.rpartition("_")[2][:43] not in text


async def test_an_expired_key_is_refused(house: Any, autojump_clock: Any) -> None:
    agent = await house.sign_up()
    short = await make_key(house, agent["api_key"], expires_in_s=1)
    autojump_clock.jump(0.99)
    await list_keys(house, short["api_key"])
    autojump_clock.jump(0.01)
    assert (await house.call("GET", "/v1/keys", token=short["api_key"])).status_code == 401


async def test_a_session_ends_with_its_key(house: Any, autojump_clock: Any) -> None:
    agent = await house.sign_up()
    short = await make_key(house, agent["api_key"], expires_in_s=60)
    session = await house.open_session(short["api_key"])
    assert session["expires_at"] == short["expires_at"]
    autojump_clock.jump(60)
    response = await house.call("GET", "/v1/sessions/current", token=session["session_token"])
    assert response.status_code == 401


async def test_a_revoked_key_is_refused_and_shown_as_revoked(
    house: Any, autojump_clock: Any
) -> None:
    agent = await house.sign_up()
    autojump_clock.jump(1)
    made = await make_key(house, agent["api_key"])
    path = f"/v1/keys/{made['key_id']}"
    response = await house.call("DELETE", path, token=agent["api_key"])
    assert (response.status_code, await response.get_data()) == (204, b"")
    assert (await house.call("GET", "/v1/keys", token=made["api_key"])).status_code == 401
    _, shown = await list_keys(house, agent["api_key"])
    assert shown["revoked_at"] == "2026-01-01T00:00:01.000Z"
    assert (await house.call("DELETE", path, token=agent["api_key"])).status_code == 204


async def test_revoking_a_key_ends_its_sessions_everywhere(house: Any, autojump_clock: Any) -> None:
    agent = await house.sign_up()
    made = await make_key(house, agent["api_key"])
    session = await house.open_session(made["api_key"])
    id = SessionId(session["session_id"])
    async with house.outside.bus.inbound(GatewayId("gw")) as inbound:
        await house.outside.bus.bind(id, GatewayId("gw"))
        await house.call("DELETE", f"/v1/keys/{made['key_id']}", token=agent["api_key"])
        assert inbound.receive_nowait() == SessionEnded(id, replaced=False)
    slot = house.outside.routes.slot("0:0")
    ((_, detach),) = house.redis.stream(slot).entries
    assert detach == Detach(id, agent["agent_id"], ChunkId("0:0"))
    answer = await house.call("GET", "/v1/sessions/current", token=session["session_token"])
    assert answer.status_code == 401


async def test_the_last_key_can_be_revoked_by_itself(house: Any, autojump_clock: Any) -> None:
    agent = await house.sign_up()
    path = f"/v1/keys/{agent['key_id']}"
    assert (await house.call("DELETE", path, token=agent["api_key"])).status_code == 204
    assert (await house.call("GET", "/v1/keys", token=agent["api_key"])).status_code == 401


@pytest.mark.parametrize("key_id", ["0123456789abcdef", "x", "%00", "%2e%2e", "a" * 500, "ä"])
async def test_a_key_that_does_not_exist_is_not_found(
    house: Any, autojump_clock: Any, key_id: str
) -> None:
    agent = await house.sign_up()
    response = await house.call("DELETE", f"/v1/keys/{key_id}", token=agent["api_key"])
    problem = await response.get_json(force=True)
    assert (response.status_code, problem["code"]) == (404, "not_found")


async def test_somebody_elses_key_is_not_found(house: Any, autojump_clock: Any) -> None:
    ada, bob = await house.sign_up("Ada"), await house.sign_up("Bob")
    response = await house.call("DELETE", f"/v1/keys/{bob['key_id']}", token=ada["api_key"])
    assert response.status_code == 404
    assert house.postgres.keys[bob["key_id"]].revoked_at is None


async def test_last_used_at_is_kept_but_not_written_at_each_call(
    house: Any, autojump_clock: Any
) -> None:
    agent = await house.sign_up()
    seen = []
    for _ in range(4):
        (key,) = await list_keys(house, agent["api_key"])
        seen.append(key["last_used_at"])
        autojump_clock.jump(30)
    assert seen == [
        "2026-01-01T00:00:00.000Z",
        "2026-01-01T00:00:00.000Z",
        "2026-01-01T00:01:00.000Z",
        "2026-01-01T00:01:00.000Z",
    ]
