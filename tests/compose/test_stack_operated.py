"""What operators do to the stack, and what falls, while everybody acts on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from ops.client import connect
from tests.compose.crowd import a_crowd, meanwhile, say, timed
from tests.compose.stack import APP_IMAGE, LASTING, OURS, Container, Stack, tag

pytestmark = [pytest.mark.compose, pytest.mark.usefixtures("left_as_it_was")]

PAUSE_MS_MAX = 1_000  # Of a chunk that moves, p99: the promise.
LOOK_SECONDS_MAX = 10.0  # Shards say each second what they have.


def lives(containers: list[Container]) -> dict[str, str]:
    """By id, since when: another life is another entry."""
    return {each.id: each.started_at for each in containers}


async def test_the_number_of_shards_changes_while_the_world_runs(stack: Stack, token: str) -> None:
    async with a_crowd(stack.url, "reshard") as crowd:
        before = lives(await meanwhile(stack.containers, *LASTING))
        first_two = lives(await meanwhile(stack.containers, "shard"))
        for count in (4, 1, 2):
            await crowd.go_on_through(f"to {count} shards", stack.up, count)
            await meanwhile(stack.wait_until, lambda count=count: shard_count(stack) == count, 60.0)
            await meanwhile(stack.wait_ready)
            await meanwhile(check_pauses, stack, token)
            shards = lives(await meanwhile(stack.containers, "shard"))
            assert len(shards) == count
            assert len(shards.keys() & first_two.keys()) >= min(count, 1)
            assert all(first_two.get(id, since) == since for id, since in shards.items())
        assert lives(await meanwhile(stack.containers, *LASTING)) == before


def shard_count(stack: Stack) -> int | None:
    answer = stack.get("/v1/world")
    if answer is None or answer.status_code != 200:
        return None
    count: int = answer.json()["shard_count"]
    return count


@pytest.fixture(scope="module")
def token(stack: Stack) -> str:
    """An operator's, made as the runbook says."""
    words = ("run", "--rm", "-T", "--no-deps", "migrate", "ops", "token", "--role", "operator")
    return stack.compose(*words).split()[-1]


def topology(stack: Stack, token: str) -> dict[str, Any]:
    answer = httpx.get(f"{stack.url}/ops/topology", headers=bearer(token), trust_env=False)
    shown: dict[str, Any] = answer.raise_for_status().json()
    return shown


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def check_pauses(stack: Stack, token: str) -> None:
    pauses: list[float] = []

    def are_known() -> bool:
        shown = topology(stack, token)
        moved = [each["moved"] for each in shown["slots"] if each["moved"] is not None]
        lately = [each for each in moved if each["epoch"] == shown["epoch"] and each["chunks"]]
        pauses[:] = [each["p99_ms"] for each in lately]
        return bool(pauses)

    stack.wait_until(are_known, LOOK_SECONDS_MAX)
    say(f"chunks that moved paused for {max(pauses):.0f} ms (p99)")
    assert max(pauses) < PAUSE_MS_MAX


async def test_a_shard_is_drained_by_an_operator(stack: Stack, token: str) -> None:
    async with a_crowd(stack.url, "drain") as crowd:
        first = (await meanwhile(topology, stack, token))["slots"][0]
        await crowd.go_on_through("a shard is drained", drain, stack, token, first)
        await meanwhile(stack.wait_ready)


def drain(stack: Stack, token: str, slot: dict[str, Any]) -> None:
    """As the runbook says, until another process has ``slot``."""
    words = ("run", "--rm", "-T", "--no-deps", "-e", f"TESSERA_OPS_TOKEN={token}", "migrate")
    stack.compose(*words, "drain", str(slot["slot"]), "--url", "http://gateway-a:8080")

    def is_handed_over() -> bool:
        shards = {each["slot"]: each["shard"] for each in topology(stack, token)["slots"]}
        return shards[slot["slot"]] not in (None, slot["shard"])

    stack.wait_until(is_handed_over, 30.0)


def test_commands_run_in_the_network_of_the_stack(stack: Stack, token: str) -> None:
    """As the runbook says."""
    words = ("run", "--rm", "-T", "--no-deps")
    asked = (*words, "-e", f"TESSERA_OPS_TOKEN={token}", "migrate", "ops", "topology")
    shown = json.loads(stack.compose(*asked, "--json", "--url", "http://gateway-a:8080"))
    assert [each["slot"] for each in shown["slots"] if each["in_force"]] == [0, 1]
    assert "0:0" in stack.compose(*words, "migrate", "replay", "--chunk", "0:0")


async def test_agents_resume_on_the_other_gateway(stack: Stack) -> None:
    async with a_crowd(stack.url, "gateway") as crowd:
        resumed = sum(player.ledger.resumed for player in crowd.players)
        await crowd.go_on_through("a gateway stops", stack.compose, "stop", "gateway-a")
        assert sum(player.ledger.resumed for player in crowd.players) > resumed
        await crowd.go_on_through("it comes back", stack.compose, "start", "gateway-a")
        await meanwhile(stack.wait_ready)


async def test_a_shard_that_dies_is_missed_for_seconds(stack: Stack) -> None:
    async with a_crowd(stack.url, "shard") as crowd:
        victim, *_ = await meanwhile(stack.containers, "shard")
        await crowd.go_on_through("a shard is killed", stack.kill_in, victim)
        await meanwhile(stack.wait_ready)
        (again,) = [
            each for each in await meanwhile(stack.containers, "shard") if each.id == victim.id
        ]
        assert again.started_at != victim.started_at


@pytest.mark.parametrize("server", ["valkey", "postgres"])
async def test_a_server_that_restarts_is_missed_for_seconds(stack: Stack, server: str) -> None:
    async with a_crowd(stack.url, server) as crowd:
        sessions = {player.name: player.ledger.session for player in crowd.players}
        await crowd.go_on_through(f"{server} restarts", stack.compose, "restart", server)
        assert {player.name: player.ledger.session for player in crowd.players} == sessions


async def test_another_image_is_rolled_in_while_the_world_runs(stack: Stack) -> None:
    next_image = f"{APP_IMAGE}-next"
    await meanwhile(tag, stack.names["APP_IMAGE"], next_image)
    stack.names["APP_IMAGE"] = next_image
    others = lives(await meanwhile(stack.containers, "lb", "postgres", "valkey"))
    async with a_crowd(stack.url, "roll") as crowd:
        await crowd.go_on_through("two shards and two gateways are rolled", stack.script, "roll.sh")
    containers = await meanwhile(stack.containers, *OURS)
    assert len(containers) == 4
    assert {each.about["Config"]["Image"] for each in containers} == {next_image}
    assert lives(await meanwhile(stack.containers, "lb", "postgres", "valkey")) == others


async def test_a_dump_brings_the_world_back(stack: Stack, tmp_path: Path) -> None:
    keys, file = tmp_path / "keys.json", tmp_path / "world.dump"
    async with connect(stack.url, "eve", keys=keys) as agent:
        await agent.say("before")
        who = agent.id
    await timed("a dump", stack.script, "dump.sh", str(file))
    async with connect(stack.url, "late", keys=tmp_path / "late.json") as agent:
        await agent.say("after")
        late = agent.id

    await timed("a restore", stack.script, "restore.sh", str(file))
    await timed("until all is ready", stack.wait_ready)

    assert status(stack, f"/v1/agents/{who}") == 200
    assert status(stack, f"/v1/agents/{late}") == 404
    async with connect(stack.url, "eve", keys=keys) as agent:
        assert agent.id == who
    async with a_crowd(stack.url, "restored"):
        pass


def status(stack: Stack, path: str) -> int | None:
    answer = stack.get(path)
    return None if answer is None else answer.status_code


# Who watches over it


def test_prometheus_finds_everybody_and_knows_the_rules(stack: Stack) -> None:
    stack.compose("--profile", "monitoring", "up", "-d", "prometheus")
    try:
        stack.wait_until(lambda: jobs(stack) == JOBS, 60.0)
        rules = asked(stack, "rules")["groups"]
        assert sum(len(group["rules"]) for group in rules) > 10
    finally:
        stack.compose("--profile", "monitoring", "rm", "--force", "--stop", "prometheus")


JOBS = {"gateway": 2, "shard": 2, "lb": 1, "prometheus": 1}


def jobs(stack: Stack) -> dict[str, int]:
    """How many of each are up."""
    answer = asked(stack, "query", query="sum by (job) (up)")
    return {each["metric"]["job"]: int(each["value"][1]) for each in answer.get("result", ())}


def asked(stack: Stack, what: str, **about: str) -> dict[str, Any]:
    try:
        answer = httpx.get(
            f"{stack.prometheus_url}/api/v1/{what}", params=about, timeout=5, trust_env=False
        )
    except httpx.TransportError:
        return {}
    data: dict[str, Any] = answer.json().get("data", {})
    return data


def test_stopping_is_in_order(stack: Stack) -> None:
    """The last one: everything ends by itself, within its grace, and comes back as it was."""
    stack.compose("stop", *OURS)
    assert {each.exit_code for each in stack.containers(*OURS)} == {0}
    stack.compose("start", *OURS)
