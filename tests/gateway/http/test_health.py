from __future__ import annotations

from typing import Any

import attrs
import trio

from gateway.http.health import missing_now


def hold_slots(house: Any, *slots: int) -> None:
    for slot in slots:
        house.redis.leases[slot] = ("somebody", house.redis.now_ms() + 60_000)


async def ask(house: Any) -> tuple[int, Any]:
    response = await house.call("GET", "/readyz")
    assert response.content_type == "application/json"
    return response.status_code, await response.get_json()


async def test_a_process_that_lives_says_so_whatever_else_is_down(
    house: Any, autojump_clock: Any
) -> None:
    house.redis.down = house.postgres.down = True
    response = await house.call("GET", "/healthz")
    assert (response.status_code, await response.get_json()) == (200, {"status": "ok"})


async def test_it_is_ready_when_everything_is_there(house: Any, autojump_clock: Any) -> None:
    hold_slots(house, 0, 1)
    assert await ask(house) == (
        200,
        {"status": "ok", "redis": "ok", "postgres": "ok", "shards": "ok"},
    )
    assert not await missing_now(house.outside)


async def test_it_names_a_slot_that_nobody_holds(house: Any, autojump_clock: Any) -> None:
    hold_slots(house, 0)
    status, answer = await ask(house)
    assert (status, answer["status"]) == (503, "unready")
    assert (answer["redis"], answer["postgres"]) == ("ok", "ok")
    assert answer["shards"] == "nobody holds slot 1"


async def test_it_names_what_can_not_be_reached(house: Any, autojump_clock: Any) -> None:
    hold_slots(house, 0, 1)
    house.postgres.down = True
    assert (await ask(house))[1]["postgres"] == "unreachable"
    house.redis.down = True
    assert await ask(house) == (
        503,
        {
            "status": "unready",
            "redis": "unreachable",
            "postgres": "unreachable",
            "shards": "unreachable",
        },
    )


async def test_it_does_not_wait_for_what_hangs(house: Any, autojump_clock: Any) -> None:
    class Hanging:
        async def ping(self) -> None:
            await trio.sleep_forever()

    hold_slots(house, 0, 1)
    house.outside = attrs.evolve(house.outside, accounts=Hanging())
    began = trio.current_time()
    assert await missing_now(house.outside) == {"postgres": "no answer within 2 s"}
    assert trio.current_time() - began == 2.0
