from __future__ import annotations

from typing import Any

import pytest

from common.accounts import ALL_SCOPES


async def test_signing_up_makes_an_agent_and_shows_its_key_once(
    house: Any, autojump_clock: Any
) -> None:
    response = await house.call("POST", "/v1/signup", {"name": "Ada-1_x"})
    assert response.status_code == 201
    assert response.content_type == "application/json"
    answer = await response.get_json()
    assert set(answer) == {"agent_id", "name", "api_key", "key_id", "created_at"}
    assert answer["name"] == "Ada-1_x"
    assert answer["api_key"].startswith(f"tsk_{answer['key_id']}_")
    assert answer["created_at"] == "2026-01-01T00:00:00.000Z"
    key = house.postgres.keys[answer["key_id"]]
    assert key.scopes == ALL_SCOPES
    assert key.expires_at is None
    assert house.postgres.agents[answer["agent_id"]].chunk == "0:0"


async def test_only_a_hash_of_the_key_is_kept(house: Any, autojump_clock: Any) -> None:
    secret = (await house.sign_up())["api_key"].rpartition("_")[2]
    assert secret[:43] not in repr(house.postgres)


async def test_a_name_is_taken_without_regard_to_case(house: Any, autojump_clock: Any) -> None:
    await house.sign_up("Ada")
    response = await house.call("POST", "/v1/signup", {"name": "aDA"})
    assert response.status_code == 409
    assert (await response.get_json(force=True))["code"] == "name_taken"


@pytest.mark.parametrize("name", ["abc", "a" * 32, "___", "---", "A-z_0"])
async def test_names_may_have_3_to_32_letters_digits_underscores_and_hyphens(
    house: Any, autojump_clock: Any, name: str
) -> None:
    assert (await house.call("POST", "/v1/signup", {"name": name})).status_code == 201


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 33, "a b c", "ada\n", "\nada", "ädä", "a\u0000bc", 123, None, ["ada"]]
)
async def test_other_names_are_refused(house: Any, autojump_clock: Any, name: object) -> None:
    response = await house.call("POST", "/v1/signup", {"name": name})
    problem = await response.get_json(force=True)
    assert (response.status_code, problem["code"]) == (422, "validation_failed")
    assert [error["path"] for error in problem["errors"]] == ["$.name"]


async def test_the_eleventh_signup_of_an_address_in_a_minute_waits(
    house: Any, autojump_clock: Any
) -> None:
    for number in range(10):
        await house.sign_up(f"agent-{number}")
    response = await house.call("POST", "/v1/signup", {"name": "one-more"})
    problem = await response.get_json(force=True)
    assert (response.status_code, problem["code"]) == (429, "rate_limited")
    assert problem["retry_after_ms"] == 6_000
    assert response.headers["Retry-After"] == "6"
    elsewhere = await house.call("POST", "/v1/signup", {"name": "one-more"}, address="203.0.113.2")
    assert elsewhere.status_code == 201


async def test_who_waits_as_told_signs_up(house: Any, autojump_clock: Any) -> None:
    for number in range(10):
        await house.sign_up(f"agent-{number}")
    autojump_clock.jump(6.0)
    await house.sign_up("one-more")


async def test_a_limit_of_0_is_none(house: Any, autojump_clock: Any) -> None:
    house.set(signups_per_min=0)
    for number in range(25):
        await house.sign_up(f"agent-{number}")
