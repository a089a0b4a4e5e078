"""What really goes over the wire is what the published documents say, to the last field.

Traffic of a whole visit is recorded by a client that shares no code with the server, and held
against the running server's own OpenAPI and AsyncAPI documents.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
import trio
from jsonschema import Draft202012Validator

from gateway.http.asyncapi import describe_streams
from tests.end_to_end.cluster import Cluster
from tests.end_to_end.stranger import connected, socket_to

pytestmark = pytest.mark.cluster

Document = Mapping[str, Any]
AGENT_FRAMES = {
    "session_ready", "chunk_static", "chunk_delta", "challenge", "ack", "result", "error",
    "goodbye",
}  # fmt: skip


async def test_a_whole_visit_is_as_the_documents_say(cluster: Cluster, name: str) -> None:
    async with httpx.AsyncClient(base_url=cluster.url(), trust_env=False) as http:
        openapi = (await http.get("/openapi.json")).json()
        asyncapi = (await http.get("/asyncapi.json")).json()
        assert asyncapi == json.loads(json.dumps(describe_streams()))
        sealed = json.loads(json.dumps(describe_streams(sealed=True)))
        calls: list[httpx.Response] = []
        http.event_hooks["response"].append(record_into(calls))
        watched: list[dict[str, Any]] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, cluster, watched)
            frames = await visit(http, name)
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
    assert {frame["type"] for frame in frames} == AGENT_FRAMES
    for frame in frames:
        validate(frame, f"#/components/messages/{frame['type']}/payload", sealed)
    assert {"session_ready", "chunk_static", "chunk_delta"} <= {item["event"] for item in watched}
    for item in watched:
        validate(item, f"#/components/messages/ws_{item['event']}/payload", sealed)
    assert len(calls) >= 12
    for call in calls:
        validate_call(call, openapi)


def test_a_field_too_many_would_be_noticed() -> None:
    sealed = json.loads(json.dumps(describe_streams(sealed=True)))
    goodbye = {"type": "goodbye", "code": 1012, "reason": "restarting", "resume": True}
    validate(goodbye, "#/components/messages/goodbye/payload", sealed)
    with pytest.raises(AssertionError):
        validate({**goodbye, "more": 1}, "#/components/messages/goodbye/payload", sealed)


async def visit(http: httpx.AsyncClient, name: str) -> list[dict[str, Any]]:
    """Do a little of everything; return the frames that the server sent."""
    who = (await http.post("/v1/signup", json={"name": name})).json()
    await http.post("/v1/signup", json={"name": name})
    await http.post("/v1/signup", json={"name": "?"})
    bearer = {"Authorization": f"Bearer {who['api_key']}"}
    await http.post("/v1/keys", json={"label": "two", "expires_in_s": 60}, headers=bearer)
    await http.get("/v1/keys", headers=bearer)
    await http.get("/v1/keys")
    session = (await http.post("/v1/sessions", json={}, headers=bearer)).json()
    token = {"Authorization": f"Bearer {session['session_token']}"}
    await http.get("/v1/sessions/current", headers=token)
    for path in ("/v1/world", "/v1/chunks", "/healthz", "/readyz", "/v1/agents/agt_nobody"):
        await http.get(path)
    async with connected(str(http.base_url).rstrip("/"), session, who["agent_id"]) as agent:
        await agent.next("chunk_static")
        await agent.ask("c-1", {"name": "say", "text": "on record"})
        await agent.next("result")
        await agent.ask("c-2", {"name": "move_to", "x": 10**6, "y": 0})
        await agent.ask("c-3", {"name": "wait", "ticks": 50})
        await agent.send({"type": "cancel", "id": "c-3"})
        await agent.next("result")
        await agent.send("{")
        await agent.next("error")
        await http.get(f"/v1/agents/{who['agent_id']}")
        await http.delete("/v1/sessions/current", headers=token)
        assert await agent.close_code() == 4003
    await http.delete(f"/v1/keys/{who['key_id']}", headers=bearer)
    return [agent.ready, *agent.frames]


async def watch(cluster: Cluster, watched: list[dict[str, Any]]) -> None:
    url = cluster.url(1) + "/v1/spectate/ws?chunks=0:0,1:0"
    async with socket_to(url) as socket:
        while True:
            watched.append(json.loads(await socket.get_message()))


def record_into(calls: list[httpx.Response]) -> Any:
    async def record(answer: httpx.Response) -> None:
        await answer.aread()
        calls.append(answer)

    return record


def validate(value: object, pointer: str, document: Document) -> None:
    schema = {"$ref": pointer, "components": document["components"]}
    faults = [error.message for error in Draft202012Validator(schema).iter_errors(value)]
    assert faults == [], (value, faults)


def validate_call(answer: httpx.Response, openapi: Document) -> None:
    path = next(path for path in openapi["paths"] if matches(path, answer.request.url.path))
    operation = openapi["paths"][path][answer.request.method.lower()]
    declared = operation["responses"].get(str(answer.status_code))
    assert declared is not None, f"{answer.request.method} {path} -> {answer.status_code}"
    if "$ref" in declared:
        declared = openapi["components"]["responses"][declared["$ref"].rsplit("/", 1)[1]]
    if answer.content:
        kind = answer.headers["content-type"].partition(";")[0]
        schema = declared["content"][kind]["schema"]
        checked = {**schema, "components": openapi["components"]}
        faults = [
            error.message for error in Draft202012Validator(checked).iter_errors(answer.json())
        ]
        assert faults == [], (path, faults)


def matches(template: str, path: str) -> bool:
    wanted, given = template.split("/"), path.split("/")
    return len(wanted) == len(given) and all(
        part == other or part.startswith("{") for part, other in zip(wanted, given, strict=True)
    )
