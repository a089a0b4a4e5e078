"""The OpenAPI 3.1 document of the HTTP calls, made from the routes that are served.

What no route serves is written down here by hand: the pages, the spectators' stream, and that a
WebSocket's address answers 101. Health and readiness are in it, metrics (private) are not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from common.refusals import ProblemCode
from gateway.http.callers import anybody, key_holder, session_holder
from gateway.http.problems import STATUSES, ProblemDetails
from gateway.http.queries import QUERY_OF
from gateway.http.route import Done, Route
from gateway.http.schema import Schema, Schemas
from gateway.ops.callers import VIEWER, AtLeast

_ABOUT = (
    "A persistent, shared grid world for agents. How to join and play: /skill.md. The WebSocket"
    " and the spectators' streams: /asyncapi.json."
)

_MEANINGS: Mapping[ProblemCode, str] = {
    "unauthorized": "The token is missing, malformed, unknown, revoked or expired.",
    "scope_missing": "The key does not have a scope that was asked for.",
    "role_missing": "The operator's role does not allow this.",
    "banned": "The agent is banned.",
    "not_found": "There is nothing of that id.",
    "method_not_allowed": "The address has no such method.",
    "request_timeout": "The body came too slowly.",
    "name_taken": "An agent of that name, without regard to case, exists.",
    "resume_refused": "The resume token was used, or is expired: open a new session.",
    "too_large": "The body is over 64 KiB.",
    "unsupported_media_type": "The body is not application/json.",
    "validation_failed": "The request is not what this call takes; errors name what is wrong.",
    "upgrade_required": "The address is a WebSocket's.",
    "rate_limited": "Too many of these calls; wait for retry_after_ms.",
    "internal": "A mistake of the server's; trace_id finds it in its log.",
    "unavailable": "Redis or PostgreSQL can't be reached; try again after retry_after_ms.",
}


def describe_calls(routes: Sequence[Route[Any, Any]]) -> Schema:
    schemas = Schemas()
    paths: dict[str, Schema] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    for path, content_type, summary in _PAGES:
        paths[path] = {"get": _page(path, content_type, summary)}
    paths["/v1/spectate"] = {"get": _spectate()}
    problem = schemas.sent(ProblemDetails)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tessera", "version": "1", "description": _ABOUT},
        "servers": [{"url": "/"}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "responses": {code: _problem(code, problem) for code in _MEANINGS},
            "headers": _HEADERS,
            "securitySchemes": _SECURITY,
        },
    }


def _operation(route: Route[Any, Any], schemas: Schemas) -> Schema:
    operation: Schema = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [_tag(route.path)],
        "security": _security(route),
        "responses": _responses(route, schemas),
    }
    if parameters := [*_path_parameters(route.path), *QUERY_OF.get(route.path, ())]:
        operation["parameters"] = parameters
    if route.body is not type(None):
        schema = schemas.received(route.body)
        operation["requestBody"] = {
            "required": bool(schemas.components[route.body.__name__].get("required")),
            "content": {"application/json": {"schema": schema}},
        }
    if 101 in operation["responses"]:
        operation["description"] = "Upgrade: websocket, or the answer is 426."
    return operation


def _operation_id(route: Route[Any, Any]) -> str:
    name = getattr(route.handle, "__name__", "")
    return {"/v1/agent": "act", "/v1/spectate/ws": "watch_ws"}.get(route.path, name)


def _tag(path: str) -> str:
    if path.startswith("/ops/"):
        return "operators"
    match = re.match(r"/v1/([a-z]+)", path)
    return match[1] if match else "service"


def _path_parameters(path: str) -> list[Schema]:
    schema = {"type": "string", "pattern": "^[0-9A-Za-z_-]{1,64}$"}
    return [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _security(route: Route[Any, Any]) -> list[Schema]:
    if isinstance(route.caller, AtLeast):
        return [{"operator": []}]
    if route.caller is key_holder:
        return [{"apiKey": []}]
    return [{"session": []}] if route.caller is session_holder else []


def _responses(route: Route[Any, Any], schemas: Schemas) -> dict[str, Schema]:
    responses: dict[str, Schema] = {}
    for code in (*route.refusals, *_implied(route)):
        responses.setdefault(str(STATUSES[code]), {"$ref": f"#/components/responses/{code}"})
    for kind, status in route.answers.items():
        responses[str(status)] = _answer(kind, schemas)
    if "upgrade_required" in route.refusals:
        responses["101"] = {"description": "The WebSocket of /asyncapi.json."}
    return dict(sorted(responses.items()))


def _implied(route: Route[Any, Any]) -> tuple[ProblemCode, ...]:
    implied: tuple[ProblemCode, ...] = ("internal", "unavailable")
    if route.caller is not anybody:
        implied += ("unauthorized",)
    if route.caller in (key_holder, session_holder):
        implied += ("banned",)
    if isinstance(route.caller, AtLeast) and route.caller is not VIEWER:
        implied += ("role_missing",)
    if route.body is not type(None):
        implied += ("request_timeout", "too_large", "unsupported_media_type", "validation_failed")
    return implied


def _answer(kind: type, schemas: Schemas) -> Schema:
    if kind is Done:
        return {"description": "Done.", "headers": _headers("X-Trace-Id")}
    return {
        "description": "What was asked for.",
        "headers": _headers("X-Trace-Id"),
        "content": {"application/json": {"schema": schemas.sent(kind)}},
    }


def _problem(code: ProblemCode, schema: Schema) -> Schema:
    names = ["X-Trace-Id"]
    if code in ("rate_limited", "unavailable"):
        names.append("Retry-After")
    if code == "unauthorized":
        names.append("WWW-Authenticate")
    return {
        "description": f"`{code}`: {_MEANINGS[code]}",
        "headers": _headers(*names),
        "content": {"application/problem+json": {"schema": schema}},
    }


def _headers(*names: str) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _page(path: str, content_type: str, summary: str) -> Schema:
    kind = "object" if content_type == "application/json" else "string"
    content = {content_type: {"schema": {"type": kind}}}
    return {
        "operationId": f"page_{path.strip('/').replace('.', '_') or 'viewer'}",
        "summary": summary,
        "tags": ["service"],
        "security": [],
        "responses": {
            "200": {"description": "The page.", "content": content},
            "304": {"description": "Not changed since the ETag in If-None-Match."},
        },
    }


def _spectate() -> Schema:
    codes: tuple[ProblemCode, ...] = (
        "validation_failed",
        "rate_limited",
        "internal",
        "unavailable",
    )
    last = {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}}
    return {
        "operationId": "watch",
        "summary": "Watch: the spectators' stream, which does not end (see /asyncapi.json)",
        "tags": ["spectate"],
        "security": [],
        "parameters": [*QUERY_OF["/v1/spectate/ws"], last],
        "responses": {
            "200": {
                "description": "Server-sent events.",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            },
            **{str(STATUSES[code]): {"$ref": f"#/components/responses/{code}"} for code in codes},
        },
    }


_PAGES = (
    ("/", "text/html", "The live viewer"),
    ("/ops/", "text/html", "The operators' page"),
    ("/skill.md", "text/markdown", "How an agent joins and plays"),
    ("/openapi.json", "application/json", "This document"),
    ("/asyncapi.json", "application/json", "The document of the streams"),
)

_HEADERS: Schema = {
    "X-Trace-Id": {
        "description": "Finds this call in the log: the trace id of traceparent, or a fresh one.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    },
    "Retry-After": {
        "description": "Seconds to wait, retry_after_ms rounded up.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {"schema": {"type": "string"}},
}

_SECURITY: Schema = {
    "apiKey": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "tsk_<key_id>_<secret><checksum>",
        "description": "An API key, from signup or POST /v1/keys.",
    },
    "operator": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "tso_...",
        "description": "An operator's token, from `tessera ops token` or POST /ops/tokens.",
    },
    "session": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "tss_...",
        "description": "A session's token, from POST /v1/sessions.",
    },
}
