"""What operators do, as agents on other gateways notice it: in real processes, within a second."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import trio
from trio_websocket import ConnectionRejected

from tests.conftest import a_folder
from tests.end_to_end.cluster import Cluster, tessera_up
from tests.end_to_end.stranger import Frame, connected, joined, post, session_of, signed_up

pytestmark = pytest.mark.cluster

SAID_SECONDS_MAX = 1.0  # Promised: until every gateway knows.
MANY = 40
CALLS = (
    ("GET", "/ops/topology"),
    ("POST", "/ops/agents/none/kick"),
    ("PUT", "/ops/moderation/words"),
    ("GET", "/ops/nothing"),
)


def token_of(cluster: Cluster) -> str:
    return (cluster.data / "run" / "ops-token").read_text().strip()


async def operate(
    cluster: Cluster, method: str, path: str, body: Frame | None = None, gateway: int = 0
) -> Any:
    headers = {"Authorization": f"Bearer {token_of(cluster)}"}
    async with httpx.AsyncClient(base_url=cluster.url(gateway), trust_env=False) as http:
        answer = await http.request(method, path, json=body, headers=headers, timeout=15)
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


def say(text: str) -> Frame:
    return {"name": "say", "text": text}


@contextmanager
def words(cluster: Cluster, *banned: str) -> Iterator[None]:
    """The world is not ours alone: others say what they like when we are done."""
    headers = {"Authorization": f"Bearer {token_of(cluster)}"}

    def put(given: list[str]) -> None:
        url = f"{cluster.url()}/ops/moderation/words"
        httpx.put(url, json={"words": given}, headers=headers, trust_env=False).raise_for_status()

    put(list(banned))
    try:
        yield
    finally:
        put([])


def test_the_token_of_a_tessera_up_is_its_owners_alone(cluster: Cluster) -> None:
    path = cluster.data / "run" / "ops-token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_muted_agent_says_nothing_on_another_gateway_until_it_is_over(
    cluster: Cluster, name: str
) -> None:
    async with joined(cluster.url(1), name) as agent:
        assert (await agent.ask("c-1", say("hello")))["status"] == "accepted"
        path = f"/ops/agents/{agent.agent_id}/mute"
        answer = await operate(cluster, "POST", path, {"seconds": 4})
        assert answer["agent_id"] == agent.agent_id
        await trio.sleep(SAID_SECONDS_MAX)
        ack = await agent.ask("c-2", say("hello"))
        assert (ack["status"], ack["code"]) == ("rejected", "muted")
        assert 0 < ack["retry_after_ms"] <= 4_000
        assert (await agent.ask("c-3", {"name": "wait", "ticks": 1}))["status"] == "accepted"
        await trio.sleep(ack["retry_after_ms"] / 1000)
        assert (await agent.ask("c-4", say("hello")))["status"] == "accepted"


async def test_a_banned_word_is_moderated_on_every_gateway(cluster: Cluster, name: str) -> None:
    async with (
        joined(cluster.url(0), name) as here,
        joined(cluster.url(1), f"{name}-b") as there,
    ):
        with words(cluster, "darn", "two words"):
            await trio.sleep(SAID_SECONDS_MAX)
            for number, agent in enumerate((here, there)):
                ack = await agent.ask(f"c-{number}", say("DARN it"))
                assert (ack["status"], ack["code"]) == ("rejected", "moderated")
                ack = await agent.ask(f"d-{number}", say("darning it, two other words"))
                assert ack["status"] == "accepted"
        await trio.sleep(SAID_SECONDS_MAX)
        assert (await there.ask("e-1", say("darn it")))["status"] == "accepted"


async def test_a_kick_closes_with_4003_and_the_key_is_still_good(
    cluster: Cluster, name: str
) -> None:
    who = await signed_up(cluster.url(), name)
    session = await session_of(cluster.url(1), who["api_key"])
    async with connected(cluster.url(1), session, who["agent_id"]) as agent:
        await operate(cluster, "POST", f"/ops/agents/{who['agent_id']}/kick")
        began = time.monotonic()
        assert await agent.close_code() == 4003
        assert time.monotonic() - began < SAID_SECONDS_MAX
        assert any(frame["type"] == "goodbye" for frame in agent.frames)
    session = await session_of(cluster.url(), who["api_key"])
    async with connected(cluster.url(), session, who["agent_id"]):
        pass


async def test_a_banned_agent_is_out_and_stays_out_everywhere(cluster: Cluster, name: str) -> None:
    who = await signed_up(cluster.url(), name)
    session = await session_of(cluster.url(1), who["api_key"])
    async with connected(cluster.url(1), session, who["agent_id"]) as agent:
        await operate(cluster, "POST", f"/ops/agents/{who['agent_id']}/ban")
        assert await agent.close_code() == 4003
    for gateway in (0, 1):
        url = cluster.url(gateway)
        answer = await post(url, "/v1/sessions", {}, who["api_key"])
        assert (answer.status_code, answer.json()["code"]) == (403, "banned")
        with pytest.raises(ConnectionRejected) as rejected:
            async with connected(url, session, who["agent_id"]):
                pass
        assert rejected.value.status_code == 403
        assert json.loads(rejected.value.body or b"{}")["code"] == "banned"
    await operate(cluster, "DELETE", f"/ops/agents/{who['agent_id']}/ban", gateway=1)
    await session_of(cluster.url(), who["api_key"])


async def test_who_comes_in_while_it_is_banned_does_not_stay(cluster: Cluster, name: str) -> None:
    """Sessions are opened again and again, on both gateways, while the ban is written."""
    who = await signed_up(cluster.url(), name)
    banned, opened = trio.Event(), []

    async def keep_opening(gateway: int) -> None:
        while not banned.is_set():
            answer = await post(cluster.url(gateway), "/v1/sessions", {}, who["api_key"])
            if answer.status_code == 201:
                opened.append(answer.json())

    async with trio.open_nursery() as nursery:
        for gateway in (0, 1, 0, 1):
            nursery.start_soon(keep_opening, gateway)
        await trio.sleep(0.3)
        await operate(cluster, "POST", f"/ops/agents/{who['agent_id']}/ban")
        banned.set()
    assert opened
    async with httpx.AsyncClient(base_url=cluster.url(), trust_env=False) as http:
        for session in opened[-5:]:
            headers = {"Authorization": f"Bearer {session['session_token']}"}
            answer = await http.get("/v1/sessions/current", headers=headers)
            assert answer.status_code == 403


async def test_calls_on_both_gateways_are_each_one_row(cluster: Cluster) -> None:
    traces = [f"{number:032x}" for number in range(1, MANY + 1)]

    async def call(number: int, trace: str) -> None:
        token = token_of(cluster) if number % 3 else "nonsense"
        headers = {
            "Authorization": f"Bearer {token}",
            "traceparent": f"00-{trace}-00f067aa0ba902b7-01",
        }
        method, path = CALLS[number % len(CALLS)]
        url = cluster.url(number % 2) + path
        async with httpx.AsyncClient(trust_env=False) as http:
            await http.request(method, url, headers=headers, content=b"{", timeout=15)

    async with trio.open_nursery() as nursery:
        for number, trace in enumerate(traces):
            nursery.start_soon(call, number, trace)
    rows = (await operate(cluster, "GET", "/ops/audit?limit=500"))["items"]
    found = [row["trace_id"] for row in rows if row["trace_id"] in set(traces)]
    assert sorted(found) == traces
    assert all(row["result"] != "unknown" for row in rows)


def tessera(cluster: Cluster, *words: str, **more: str) -> str:
    environment = {key: text for key, text in os.environ.items() if not key.startswith("TESSERA_")}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "ops", *words, "--data", str(cluster.data)],
        capture_output=True,
        text=True,
        timeout=150,
        env={**environment, **more},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_token_is_made_from_a_terminal_and_printed_as_its_last_word(
    cluster: Cluster,
) -> None:
    printed = tessera(cluster, "ops", "token", "--role", "viewer", "--label", "a wall")
    token = printed.split()[-1]
    headers = {"Authorization": f"Bearer {token}"}
    url = cluster.url(1)
    answer = httpx.get(f"{url}/ops/topology", headers=headers, trust_env=False)
    assert answer.status_code == 200
    refused = httpx.post(f"{url}/ops/agents/none/kick", headers=headers, trust_env=False)
    assert (refused.status_code, refused.json()["code"]) == (403, "role_missing")
    changes = json.loads(tessera(cluster, "ops", "audit", "--changes", "--json"))["items"]
    id = token.split("_")[1]
    made = next(row for row in changes if row["actor"] == "terminal" and id in row["target"])
    assert (made["action"], made["target"]) == ("tessera ops token", f"viewer {id}")
    assert made["result"] == "ok"
    assert id in tessera(cluster, "ops", "tokens", "list")
    assert token not in tessera(cluster, "ops", "tokens", "list")


async def come_by(cluster: Cluster, name: str) -> None:
    async with joined(cluster.url(), name):
        pass


def test_a_terminal_does_what_the_api_does(cluster: Cluster, name: str) -> None:
    trio.run(come_by, cluster, name)
    assert "is muted until" in tessera(cluster, "ops", "mute", name, "--seconds", "60")
    assert "muted until" in tessera(cluster, "ops", "agents", "--name", name)
    tessera(cluster, "ops", "unmute", name)
    tessera(cluster, "ops", "kick", name)
    tessera(cluster, "ops", "ban", name)
    (agent,) = json.loads(tessera(cluster, "ops", "agents", "--name", name, "--json"))["items"]
    assert agent["banned_at"] is not None
    assert agent["muted_until"] is None
    tessera(cluster, "ops", "unban", name)
    assert "0:0" in tessera(cluster, "ops", "chunks")
    assert "2 shards are in force" in tessera(cluster, "ops", "topology")
    made = tessera(cluster, "ops", "tokens", "make", "--role", "viewer", "--days", "1").split()[-1]
    id = made.split("_")[1]
    assert tessera(cluster, "ops", "tokens", "revoke", made) == f"{id} is revoked.\n"
    headers = {"Authorization": f"Bearer {made}"}
    refused = httpx.get(f"{cluster.url()}/ops/topology", headers=headers, trust_env=False)
    assert refused.status_code == 401
    assert f"{id} is revoked." in tessera(cluster, "ops", "tokens", "revoke", id)
    audit = tessera(cluster, "ops", "audit", "--changes", "--limit", "9")
    for what in ("kick", "ban", "mute", "POST /ops/tokens", "DELETE /ops/tokens/{token_id}"):
        assert what in audit


def test_a_terminal_reshards_and_drains_a_world_that_runs() -> None:
    with a_folder() as folder, tessera_up(folder / "data", bots=6) as world:
        printed = tessera(world, "reshard", "3")
        assert "3 shards are wanted" in printed
        assert "In force after" in printed
        assert httpx.get(f"{world.url()}/v1/world", trust_env=False).json()["shard_count"] == 3
        before = json.loads(tessera(world, "ops", "topology", "--json"))
        shard = before["slots"][0]["shard"]
        printed = tessera(world, "drain", "0")
        assert f"{shard}, which has slot 0, was told" in printed
        after = json.loads(tessera(world, "ops", "topology", "--json"))
        assert after["slots"][0]["shard"] not in (None, shard)
        assert shard not in {each["shard"] for each in after["shards"]}
        tessera(world, "reshard", "2")
        rows = json.loads(tessera(world, "ops", "audit", "--changes", "--json"))["items"]
        assert [(row["action"], row["target"], row["result"]) for row in rows[:3]] == [
            ("POST /ops/reshard", "2", "ok"),
            ("POST /ops/shards/{slot}/drain", "0", "ok"),
            ("POST /ops/reshard", "3", "ok"),
        ]


async def test_what_operators_did_outlives_the_whole_world() -> None:
    with a_folder() as folder:
        data = folder / "data"
        with tessera_up(data) as first:
            muted = await signed_up(first.url(), "Muted")
            banned = await signed_up(first.url(), "Banned")
            token = token_of(first)
            await operate(first, "POST", f"/ops/agents/{muted['agent_id']}/mute", {"seconds": 600})
            await operate(first, "POST", f"/ops/agents/{banned['agent_id']}/ban")
            await operate(first, "PUT", "/ops/moderation/words", {"words": ["darn"]})
            before = (await operate(first, "GET", "/ops/audit?changes=true"))["items"]
        with tessera_up(data) as second:
            assert token_of(second) == token, "it is good as long as the world is"
            session = await session_of(second.url(), muted["api_key"])
            async with connected(second.url(), session, muted["agent_id"]) as agent:
                assert (await agent.ask("c-1", say("hello")))["code"] == "muted"
            async with joined(second.url(), "Loud") as agent:
                assert (await agent.ask("c-1", say("darn")))["code"] == "moderated"
            answer = await post(second.url(), "/v1/sessions", {}, banned["api_key"])
            assert answer.status_code == 403
            after = (await operate(second, "GET", "/ops/audit?changes=true"))["items"]
            assert after == before
