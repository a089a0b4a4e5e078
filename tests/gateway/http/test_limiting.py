from __future__ import annotations

import ipaddress
from typing import Any


async def sign_up_through(house: Any, name: str, forwarded: str, proxy: str) -> int:
    response = await house.call(
        "POST",
        "/v1/signup",
        {"name": name},
        headers={"X-Forwarded-For": forwarded},
        address=proxy,
    )
    return int(response.status_code)


async def test_clients_behind_a_trusted_proxy_are_counted_each_by_itself(
    house: Any, autojump_clock: Any
) -> None:
    house.set(signups_per_min=1, trusted_proxies=(ipaddress.ip_network("10.0.0.0/8"),))
    assert await sign_up_through(house, "one", "203.0.113.7", "10.1.2.3") == 201
    assert await sign_up_through(house, "two", "203.0.113.8", "10.1.2.3") == 201
    assert await sign_up_through(house, "three", "203.0.113.7", "10.9.9.9") == 429


async def test_a_stranger_can_not_choose_its_address(house: Any, autojump_clock: Any) -> None:
    house.set(signups_per_min=1, trusted_proxies=(ipaddress.ip_network("10.0.0.0/8"),))
    assert await sign_up_through(house, "one", "203.0.113.7", "198.51.100.1") == 201
    assert await sign_up_through(house, "two", "203.0.113.8", "198.51.100.1") == 429


async def test_sessions_are_counted_per_key(house: Any, autojump_clock: Any) -> None:
    house.set(sessions_per_min=2)
    agent = await house.sign_up()
    other = await (await house.call("POST", "/v1/keys", {}, agent["api_key"])).get_json()
    for _ in range(2):
        await house.open_session(agent["api_key"])
    response = await house.call("POST", "/v1/sessions", {}, agent["api_key"])
    problem = await response.get_json(force=True)
    assert (response.status_code, problem["code"]) == (429, "rate_limited")
    assert problem["retry_after_ms"] == 30_000
    await house.open_session(other["api_key"])


async def test_keys_are_counted_per_agent(house: Any, autojump_clock: Any) -> None:
    house.set(keys_per_hour=2)
    agent = await house.sign_up()
    made = await (await house.call("POST", "/v1/keys", {}, agent["api_key"])).get_json()
    assert (await house.call("POST", "/v1/keys", {}, made["api_key"])).status_code == 201
    response = await house.call("POST", "/v1/keys", {}, made["api_key"])
    problem = await response.get_json(force=True)
    assert (response.status_code, problem["retry_after_ms"]) == (429, 1_800_000)
    assert response.headers["Retry-After"] == "1800"
