from __future__ import annotations

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.http.problems import STATUSES


async def document(house: Any) -> Any:
    response = await house.call("GET", "/openapi.json")
    assert response.content_type == "application/json"
    return json.loads(await response.get_data())


OPERATORS_CALLS = {
    "GET /ops/topology",
    "GET /ops/chunks",
    "GET /ops/agents",
    "GET /ops/audit",
    "POST /ops/reshard",
    "POST /ops/shards/{slot}/drain",
    "POST /ops/agents/{agent_id}/mute",
    "DELETE /ops/agents/{agent_id}/mute",
    "POST /ops/agents/{agent_id}/kick",
    "POST /ops/agents/{agent_id}/ban",
    "DELETE /ops/agents/{agent_id}/ban",
    "GET /ops/moderation/words",
    "PUT /ops/moderation/words",
    "GET /ops/tokens",
    "POST /ops/tokens",
    "DELETE /ops/tokens/{token_id}",
}


async def test_it_is_valid(house: Any, autojump_clock: Any) -> None:
    OpenAPIV31SpecValidator(await document(house)).validate()


async def test_it_has_every_call_of_the_protocol(house: Any, autojump_clock: Any) -> None:
    paths = (await document(house))["paths"]
    calls = {f"{method.upper()} {path}" for path, item in paths.items() for method in item}
    assert calls == {
        "POST /v1/signup",
        "POST /v1/keys",
        "GET /v1/keys",
        "DELETE /v1/keys/{key_id}",
        "POST /v1/sessions",
        "GET /v1/sessions/current",
        "DELETE /v1/sessions/current",
        "GET /v1/agents/{agent_id}",
        "GET /v1/chunks",
        "GET /v1/world",
        "GET /v1/agent",
        "GET /v1/spectate",
        "GET /v1/spectate/ws",
        "GET /healthz",
        "GET /readyz",
        "GET /openapi.json",
        "GET /asyncapi.json",
        "GET /",
        "GET /skill.md",
        "GET /ops/",
        *OPERATORS_CALLS,
    }


async def test_it_has_every_rule_of_the_app_and_no_other(house: Any, autojump_clock: Any) -> None:
    rules = {
        re.sub("<(.*)>", r"{\1}", rule.rule)
        for rule in house.app.url_map.iter_rules()
        if not rule.rule.startswith(("/viewer/", "/console/"))
    }
    elsewhere = {"/v1/spectate"}  # Served by the streams' own ASGI app.
    assert set((await document(house))["paths"]) == rules | elsewhere


async def test_a_call_says_what_it_may_answer(house: Any, autojump_clock: Any) -> None:
    paths = (await document(house))["paths"]
    assert set(paths["/v1/signup"]["post"]["responses"]) == {
        "201",
        "408",
        "409",
        "413",
        "415",
        "422",
        "429",
        "500",
        "503",
    }
    assert set(paths["/v1/keys/{key_id}"]["delete"]["responses"]) == {
        "204",
        "401",
        "403",
        "404",
        "500",
        "503",
    }
    responses = paths["/v1/keys/{key_id}"]["delete"]["responses"]
    assert responses["403"] == {"$ref": "#/components/responses/banned"}
    ban = paths["/ops/agents/{agent_id}/ban"]["post"]
    assert set(ban["responses"]) == {"204", "401", "403", "404", "500", "503"}
    assert ban["responses"]["403"] == {"$ref": "#/components/responses/role_missing"}
    assert ban["security"] == [{"operator": []}]
    assert "101" in paths["/v1/agent"]["get"]["responses"]


async def test_operation_ids_are_unique(house: Any, autojump_clock: Any) -> None:
    paths = (await document(house))["paths"]
    ids = [operation["operationId"] for item in paths.values() for operation in item.values()]
    assert len(set(ids)) == len(ids)
    assert all(ids)


async def test_what_a_client_sends_is_sealed_and_bounded(house: Any, autojump_clock: Any) -> None:
    schemas = (await document(house))["components"]["schemas"]
    assert schemas["SignUp"] == {
        "type": "object",
        "properties": {"name": {"type": "string", "pattern": r"^[A-Za-z0-9_-]{3,32}(?!\n)$"}},
        "required": ["name"],
        "additionalProperties": False,
    }
    life = schemas["MakeKey"]["properties"]["expires_in_s"]["oneOf"]
    assert {"type": "integer", "minimum": 1, "maximum": 316_224_000} in life


@pytest.mark.parametrize(
    ("body", "good"),
    [
        ({}, True),
        ({"label": None, "scopes": ["act"]}, True),
        ({"scopes": []}, False),
        ({"label": "a\n"}, False),
        ({"other": 1}, False),
    ],
)
async def test_the_schema_of_a_body_and_the_parser_agree(
    house: Any, autojump_clock: Any, body: object, good: bool
) -> None:
    schema = {**(await document(house)), "$ref": "#/components/schemas/MakeKey"}
    assert Draft202012Validator(schema).is_valid(body) is good
    agent = await house.sign_up()
    response = await house.call("POST", "/v1/keys", body, agent["api_key"])
    assert (response.status_code == 201) is good


async def test_what_is_always_there_is_required(house: Any, autojump_clock: Any) -> None:
    schemas = (await document(house))["components"]["schemas"]
    assert set(schemas["ListedKey"]["required"]) == set(schemas["ListedKey"]["properties"])
    assert "position" not in schemas["Agent"]["required"]
    assert schemas["Agent"]["properties"]["position"] == {"$ref": "#/components/schemas/Position"}


async def test_every_problem_is_described(house: Any, autojump_clock: Any) -> None:
    responses = (await document(house))["components"]["responses"]
    assert set(responses) == set(STATUSES)
    for code in ("rate_limited", "unavailable"):
        assert "Retry-After" in responses[code]["headers"]


async def test_a_call_is_described_with_what_it_answers(house: Any, autojump_clock: Any) -> None:
    """Each route's success answers, as they are, follow their schema."""
    schema = await document(house)
    agent = await house.sign_up()
    session = await house.open_session(agent["api_key"])
    admin = await house.operator()
    for path, token in (
        ("/ops/topology", admin),
        ("/ops/agents", admin),
        ("/ops/audit", admin),
        ("/ops/chunks", admin),
        ("/ops/moderation/words", admin),
        ("/ops/tokens", admin),
        ("/v1/keys", agent["api_key"]),
        ("/v1/sessions/current", session["session_token"]),
        (f"/v1/agents/{agent['agent_id']}", None),
        ("/v1/chunks", None),
        ("/v1/world", None),
        ("/healthz", None),
        ("/readyz", None),
        ("/nothing", None),
    ):
        response = await house.call("GET", path, token=token)
        answer = json.loads(await response.get_data())
        names = {
            "/v1/keys": "Keys",
            "/v1/sessions/current": "CurrentSession",
            "/v1/chunks": "ActiveChunks",
            "/v1/world": "WorldFigures",
            "/healthz": "Healthy",
            "/readyz": "Unready",
            "/nothing": "ProblemDetails",
            "/ops/topology": "SeenTopology",
            "/ops/agents": "SeenAgents",
            "/ops/audit": "AuditRows",
            "/ops/chunks": "SeenChunks",
            "/ops/moderation/words": "Words",
            "/ops/tokens": "ListedTokens",
        }
        name = names.get(path, "Agent")
        sealed = {**schema["components"]["schemas"][name], "additionalProperties": False}
        Draft202012Validator({**schema, **sealed}).validate(answer)
