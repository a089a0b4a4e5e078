"""Operators' tokens: made, shown once, with a role and an end; and what a role is good for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import pytest
import trio

from common.operators import Role
from common.tokens import HashingKeys, Kind, new_token
from gateway.ops.callers import AtLeast
from gateway.ops.routes import operator_routes

ROLES = {
    "GET /ops/topology": Role.VIEWER,
    "GET /ops/chunks": Role.VIEWER,
    "GET /ops/agents": Role.VIEWER,
    "GET /ops/audit": Role.VIEWER,
    "GET /ops/moderation/words": Role.VIEWER,
    "POST /ops/reshard": Role.OPERATOR,
    "POST /ops/shards/{slot}/drain": Role.OPERATOR,
    "POST /ops/agents/{agent_id}/mute": Role.OPERATOR,
    "DELETE /ops/agents/{agent_id}/mute": Role.OPERATOR,
    "POST /ops/agents/{agent_id}/kick": Role.OPERATOR,
    "PUT /ops/moderation/words": Role.OPERATOR,
    "POST /ops/agents/{agent_id}/ban": Role.ADMIN,
    "DELETE /ops/agents/{agent_id}/ban": Role.ADMIN,
    "GET /ops/tokens": Role.ADMIN,
    "POST /ops/tokens": Role.ADMIN,
    "DELETE /ops/tokens/{token_id}": Role.ADMIN,
}


def test_every_call_needs_the_role_that_the_protocol_says() -> None:
    needed = {}
    for route in operator_routes():
        assert isinstance(route.caller, AtLeast)
        needed[f"{route.method} {route.path}"] = route.caller.role
    assert needed == ROLES


def test_everything_that_changes_something_is_on_record_before_it_does() -> None:
    for route in operator_routes():
        is_recorded = hasattr(route.handle, "__wrapped__")
        assert is_recorded is (route.method != "GET"), route.path


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("call", list(ROLES))
async def test_each_role_has_what_the_one_before_has(
    house: Any, autojump_clock: Any, role: Role, call: str
) -> None:
    method, path = call.split()
    token = await house.operator(role)
    path = path.replace("{slot}", "9").replace("{agent_id}", "none").replace("{token_id}", "none")
    response = await house.call(method, path, token=token)
    if role.has(ROLES[call]):
        assert response.status_code in (200, 404, 422)  # Without a body, about nobody.
    else:
        assert response.status_code == 403
        assert (await response.get_json(force=True))["code"] == "role_missing"
    assert (await house.call(method, path)).status_code == 401


async def test_a_token_is_shown_once_and_kept_as_a_hash(house: Any, autojump_clock: Any) -> None:
    admin = await house.operator()
    body = {"role": "viewer", "label": "the wall", "expires_in_s": 3600}
    response = await house.call("POST", "/ops/tokens", body, admin)
    assert response.status_code == 201
    made = await response.get_json()
    assert set(made) == {"token_id", "token", "role", "expires_at"}
    assert made["token"].startswith(f"tso_{made['token_id']}_")
    listed = await house.call("GET", "/ops/tokens", token=admin)
    text = await listed.get_data(as_text=True)
    assert made["token"] not in text
    (mine,) = [item for item in (await listed.get_json())["items"] if item["label"] == "the wall"]
    assert (mine["token_id"], mine["role"], mine["revoked_at"]) == (
        made["token_id"],
        "viewer",
        None,
    )
    assert made["token"] not in repr(house.postgres.operator_tokens)
    assert (await house.call("GET", "/ops/topology", token=made["token"])).status_code == 200


async def test_a_token_ends_when_it_expires(house: Any, autojump_clock: Any) -> None:
    admin = await house.operator()
    body = {"role": "viewer", "expires_in_s": 10}
    made = await (await house.call("POST", "/ops/tokens", body, admin)).get_json()
    await trio.sleep(9)
    assert (await house.call("GET", "/ops/topology", token=made["token"])).status_code == 200
    await trio.sleep(2)
    assert (await house.call("GET", "/ops/topology", token=made["token"])).status_code == 401


async def test_a_revoked_token_is_refused_also_by_itself(house: Any, autojump_clock: Any) -> None:
    admin, other = await house.operator(), await house.operator(life=timedelta(days=1))
    id = admin.split("_")[1]
    assert (await house.call("DELETE", f"/ops/tokens/{id}", token=admin)).status_code == 204
    assert (await house.call("GET", "/ops/topology", token=admin)).status_code == 401
    assert (await house.call("GET", "/ops/topology", token=other)).status_code == 200
    assert (await house.call("DELETE", "/ops/tokens/none", token=other)).status_code == 404


async def test_a_whole_token_is_revoked_as_well_as_its_id(house: Any, autojump_clock: Any) -> None:
    """Who has found it somewhere is in a hurry."""
    admin, leaked = await house.operator(), await house.operator()
    response = await house.call("DELETE", f"/ops/tokens/{leaked}", token=admin)
    assert response.status_code == 204
    assert (await house.call("GET", "/ops/topology", token=leaked)).status_code == 401
    assert house.postgres.audit[0].call.target == leaked.split("_")[1]
    for other in (leaked[:-1], f"{leaked}0", new_token(Kind.OPERATOR).text, leaked[4:]):
        response = await house.call("DELETE", f"/ops/tokens/{other}", token=admin)
        assert response.status_code == 404


async def test_the_row_of_a_new_token_names_it(house: Any, autojump_clock: Any) -> None:
    admin, rows = await house.operator(), list[str]()
    add_token = house.outside.operators.add_token

    async def see(token: Any) -> None:
        rows.extend(row.call.target for row in house.postgres.audit)
        await add_token(token)

    house.outside.operators.add_token = see
    made = await (await house.call("POST", "/ops/tokens", {"role": "viewer"}, admin)).get_json()
    assert rows == [f"viewer {made['token_id']}"]


async def test_a_key_is_no_operators_token(house: Any, autojump_clock: Any) -> None:
    key = (await house.sign_up())["api_key"]
    assert (await house.call("GET", "/ops/topology", token=key)).status_code == 401
    token = await house.operator()
    assert (await house.call("GET", "/v1/keys", token=token)).status_code == 401


async def test_tokens_and_keys_outlive_a_rotation_of_the_hashing_key(
    house: Any, autojump_clock: Any
) -> None:
    """Seen once while both are accepted, they are good when the previous one is given up."""
    first, second = b"1" * 32, b"2" * 32
    house.set(hashing_key=first)
    admin, idle = await house.operator(), await house.operator()
    key = (await house.sign_up())["api_key"]
    house.set(hashing_key=second, hashing_key_previous=first)
    assert house.outside.settings.hashing_keys == HashingKeys(second, first)
    assert (await house.call("GET", "/ops/topology", token=admin)).status_code == 200
    assert (await house.call("GET", "/v1/keys", token=key)).status_code == 200
    house.set(hashing_key=second, hashing_key_previous=None)
    assert (await house.call("GET", "/ops/topology", token=admin)).status_code == 200
    assert (await house.call("GET", "/v1/keys", token=key)).status_code == 200
    assert (await house.call("GET", "/ops/topology", token=idle)).status_code == 401
    house.set(hashing_key=b"3" * 32)
    assert (await house.call("GET", "/ops/topology", token=admin)).status_code == 401


@pytest.mark.parametrize(
    "body",
    [{}, {"role": "root"}, {"role": "viewer", "expires_in_s": 0}, {"role": "viewer", "label": "\n"},
     {"role": "viewer", "more": 1}],
)  # fmt: skip
async def test_a_token_needs_a_role_that_there_is(
    house: Any, autojump_clock: Any, body: object
) -> None:
    admin = await house.operator()
    before = len(house.postgres.operator_tokens)
    assert (await house.call("POST", "/ops/tokens", body, admin)).status_code == 422
    assert len(house.postgres.operator_tokens) == before


def test_a_printed_token_keeps_its_secret() -> None:
    from gateway.ops.tokens import MadeToken

    made = MadeToken("id", "tso_secret", Role.ADMIN, None)
    assert "tso_secret" not in repr(made)
    assert attrs.asdict(made)["token"] == "tso_secret"
