"""What operators see of shards, and how they ask for others."""

from __future__ import annotations

from typing import Any

import pytest

from common.adapters.memory_postgres import KeptChunk
from common.errors import Unavailable
from common.grid import AgentId, ChunkId, Epoch, Slot, Tick
from common.journal import Row
from common.operators import Role
from common.topology import Pauses, ProcessBeat, SlotBeat, SlotState, Survey, Topology


def surveyed(house: Any, survey: Survey) -> None:
    async def survey_now() -> Survey:
        return survey

    house.outside.bus.survey = survey_now


async def topology(house: Any, token: str) -> Any:
    response = await house.call("GET", "/ops/topology", token=token)
    assert response.status_code == 200
    return await response.get_json()


async def test_slots_and_processes_are_shown_as_they_say_they_are(
    house: Any, autojump_clock: Any
) -> None:
    pauses = Pauses(epoch=3, chunks=4, p50_ms=11.5, p99_ms=90.0, max_ms=120.0)
    beat = SlotBeat("shard-a/1", 7, 30, 12.5, {}, 1.5, epoch=3, leaving=2, moved=pauses)
    surveyed(
        house,
        Survey(
            {
                Slot(0): SlotState("shard-a", 5, beat),
                Slot(4): SlotState("shard-b", 1, None),
            },
            {
                "shard-b": ProcessBeat((Slot(4),), 1, is_draining=True),
                "shard-a": ProcessBeat((Slot(0),), 7),
                "shard-c": ProcessBeat(),
            },
        ),
    )
    seen = await topology(house, await house.operator(Role.VIEWER))
    assert (seen["epoch"], seen["shard_count"], seen["wanted"]) == (1, 1, None)
    first, beyond = seen["slots"]
    assert first == {
        "slot": 0, "in_force": True, "shard": "shard-a", "waiting": 5, "epoch": 3, "chunks": 7,
        "agents": 30, "lateness_p50_ms": 1.5, "lateness_p99_ms": 12.5, "leaving": 2,
        "draining": False,
        "moved": {"epoch": 3, "chunks": 4, "p50_ms": 11.5, "p99_ms": 90.0, "max_ms": 120.0},
    }  # fmt: skip
    assert (beyond["slot"], beyond["in_force"], beyond["shard"]) == (4, False, "shard-b")
    assert beyond["chunks"] is None
    assert seen["shards"] == [
        {"shard": "shard-a", "slots": [0], "chunks": 7, "draining": False},
        {"shard": "shard-b", "slots": [4], "chunks": 1, "draining": True},
        {"shard": "shard-c", "slots": [], "chunks": 0, "draining": False},
    ]


async def test_a_slot_that_nobody_holds_is_shown_as_that(house: Any, autojump_clock: Any) -> None:
    seen = await topology(house, await house.operator())
    (slot,) = seen["slots"]
    assert (slot["slot"], slot["shard"], slot["in_force"]) == (0, None, True)


async def test_a_reshard_is_wanted_at_once_and_everybody_is_told(
    house: Any, autojump_clock: Any
) -> None:
    token = await house.operator(Role.OPERATOR)
    before = await house.outside.bus.news("0", 1)
    response = await house.call("POST", "/ops/reshard", {"shard_count": 4}, token)
    assert response.status_code == 202
    assert await response.get_json() == {"epoch": 2, "shard_count": 4}
    assert await house.outside.bus.news("0", 1) != before
    assert (await topology(house, token))["wanted"] == {"epoch": 2, "shard_count": 4}
    house.postgres.begin_topology(2)
    seen = await topology(house, token)
    assert (seen["epoch"], seen["shard_count"], seen["wanted"]) == (2, 4, None)


async def test_a_reshard_does_not_need_redis(house: Any, autojump_clock: Any) -> None:
    token = await house.operator()

    async def fail() -> None:
        raise Unavailable("Redis is down")

    house.outside.bus.announce = fail
    response = await house.call("POST", "/ops/reshard", {"shard_count": 4}, token)
    assert response.status_code == 202
    assert house.postgres.topologies.wanted == Topology(2, 4)


@pytest.mark.parametrize("count", [0, -1, 65, 2.5, "2", None, True])
async def test_a_count_that_is_none_is_refused(
    house: Any, autojump_clock: Any, count: object
) -> None:
    token = await house.operator()
    response = await house.call("POST", "/ops/reshard", {"shard_count": count}, token)
    assert response.status_code == 422
    assert not house.postgres.topologies.is_changing


async def test_a_drain_is_told_to_the_slots_holder(house: Any, autojump_clock: Any) -> None:
    token, told = await house.operator(Role.OPERATOR), []

    async def drain(slot: Slot) -> bool:
        told.append(slot)
        return slot == Slot(1)

    house.outside.bus.drain = drain
    response = await house.call("POST", "/ops/shards/1/drain", token=token)
    assert response.status_code == 202
    assert await response.get_json() == {"slot": 1}
    assert (await house.call("POST", "/ops/shards/2/drain", token=token)).status_code == 404
    for nonsense in ("-1", "1.0", "one", "%D9%A1", "999999999999999999999"):
        response = await house.call("POST", f"/ops/shards/{nonsense}/drain", token=token)
        assert response.status_code == 404
    assert told == [1, 2]


async def test_chunks_are_listed_with_the_slot_that_is_theirs(
    house: Any, autojump_clock: Any
) -> None:
    for id in ("0:0", "1:0", "-1:4"):
        kept = KeptChunk(Epoch(5), holder="shard-a/2")
        kept.journal[Tick(1), 0] = Row(ChunkId(id), Epoch(5), Tick(1), 0, b"")
        house.postgres.chunks[ChunkId(id)] = kept
    token = await house.operator(Role.VIEWER)
    response = await house.call("GET", "/ops/chunks?limit=2", token=token)
    first = await response.get_json()
    assert len(first["items"]) == 2
    query = f"limit=2&cursor={first['next_cursor']}"
    rest = await (await house.call("GET", f"/ops/chunks?{query}", token=token)).get_json()
    assert rest["next_cursor"] is None
    found = {item["chunk"]: item for item in first["items"] + rest["items"]}
    assert set(found) == {"0:0", "1:0", "-1:4"}
    for id, item in found.items():
        assert item["slot"] == house.outside.routes.slot(ChunkId(id))
        assert (item["shard"], item["epoch"]) == ("shard-a", 5)


@pytest.mark.parametrize("path", ["/ops/chunks", "/ops/agents", "/ops/audit"])
@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "limit=", "limit=x", "limit=1&limit=2", "cursor=!", "cursor=%00",
     "other=1", "cursor=a%20b"],
)  # fmt: skip
async def test_a_query_that_is_none_is_refused(
    house: Any, autojump_clock: Any, path: str, query: str
) -> None:
    token = await house.operator(Role.VIEWER)
    response = await house.call("GET", f"{path}?{query}", token=token)
    assert response.status_code == 422
    answer = await response.get_json(force=True)
    assert answer["errors"][0]["path"].startswith("?")


async def test_the_audit_log_is_read_in_pages_and_without_what_only_looked(
    house: Any, autojump_clock: Any
) -> None:
    token = await house.operator()
    for count in (2, 3, 4):
        await house.call("POST", "/ops/reshard", {"shard_count": count}, token)
        await house.call("GET", "/ops/topology", token=token)
    response = await house.call("GET", "/ops/audit?changes=true&limit=2", token=token)
    page = await response.get_json()
    assert [row["target"] for row in page["items"]] == ["4", "3"]
    query = f"changes=true&limit=2&cursor={page['next_cursor']}"
    rest = await (await house.call("GET", f"/ops/audit?{query}", token=token)).get_json()
    assert [row["target"] for row in rest["items"]] == ["2"]
    assert rest["next_cursor"] is None
    everything = await (await house.call("GET", "/ops/audit", token=token)).get_json()
    assert len(everything["items"]) == 8
    row = page["items"][0]
    assert set(row) == {
        "id", "at", "actor", "role", "action", "target", "status", "result", "trace_id"
    }  # fmt: skip
    assert AgentId(row["actor"]) == token.split("_")[1]
