"""No bytes, and no JSON, that anybody sends may end in a 500."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.access import bearer_of

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=8,
)
scopes = st.lists(st.sampled_from(["act", "chat", "observe", "fly", ""]) | anything, max_size=4)
nearly_right = st.fixed_dictionaries(
    {},
    optional={
        "name": st.from_regex(r"[A-Za-z0-9_-]{2,33}\n?", fullmatch=True) | anything,
        "label": st.text() | anything,
        "expires_in_s": st.integers(-1, 400_000_000) | anything,
        "scopes": scopes | anything,
        "": anything,
    },
)
bodies = st.binary(max_size=200) | (anything | nearly_right).map(
    lambda value: json.dumps(value).encode()
)
content_types = st.sampled_from(
    ["application/json", "application/json; charset=utf-8", "application/json; charset=", "", "x/y"]
)


@pytest.mark.parametrize("path", ["/v1/signup", "/v1/keys", "/v1/sessions"])
def test_no_body_is_too_strange(house: Any, path: str) -> None:
    house.set(signups_per_min=0, keys_per_hour=0, sessions_per_min=0)

    async def try_body(data: bytes, content_type: str) -> None:
        house.postgres.agents.clear()
        token = (await house.sign_up("Zoe"))["api_key"]
        headers = {"Content-Type": content_type}
        response = await house.call("POST", path, data=data, headers=headers, token=token)
        assert response.status_code in (201, 403, 409, 415, 422), await response.get_data()
        assert response.content_type in ("application/json", "application/problem+json")
        if response.status_code == 422:
            problem = await response.get_json(force=True)
            assert all(error["path"].startswith("$") for error in problem["errors"])

    @given(bodies, content_types)
    @settings(max_examples=100)
    def try_any(data: bytes, content_type: str) -> None:
        trio.run(try_body, data, content_type)

    try_any()


@pytest.mark.parametrize("path", ["/v1/agents/", "/v1/keys/"])
def test_no_id_is_too_strange(house: Any, path: str) -> None:
    async def try_id(id: str) -> None:
        house.postgres.agents.clear()
        house.redis.forget()
        token = (await house.sign_up("Zoe"))["api_key"]
        method = "DELETE" if "keys" in path else "GET"
        client = house.app.test_client()
        async with client.request(
            "/", method=method, headers={"Authorization": f"Bearer {token}"}
        ) as connection:
            connection.scope["path"] = path + id
            await connection.send_complete()
        assert (await connection.as_response()).status_code in (204, 404)

    @given(st.text(max_size=80))
    @settings(max_examples=100)
    def try_any(id: str) -> None:
        trio.run(try_id, id)

    try_any()


@given(st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=120))
@settings(max_examples=100)
def test_no_authorization_is_too_strange(authorization: str) -> None:
    assert isinstance(bearer_of(authorization), str)
