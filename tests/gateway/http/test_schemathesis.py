"""schemathesis against the live OpenAPI document: nothing it thinks of ends in a server error.

It sends what the document allows and what it forbids, and checks statuses, headers, types and
schemas, that the forbidden is refused, and that nothing is to be had without a token. A server
that TESSERA_TEST_URL names should have its limits switched off (0), else much is only answered
429. The streams' addresses are left out: an answer that does not end is nothing to validate.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from typing import Any

import attrs
import httpx
import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished

from tests.gateway.http.conftest import Live

EXAMPLES = int(os.environ.get("TESSERA_TEST_EXAMPLES", "10"))  # A call and phase.
SECONDS_MAX = 30  # Then it is enough. Alone it has tried every call after five.
STREAMS = r"^/v1/(agent|spectate|spectate/ws)$"


@attrs.define
class Caller:
    """Has a live session whenever one is asked for, and signs up anew where it was banned."""

    http: httpx.Client
    operator_token: str
    api_key: str = "none"
    session_token: str = "none"

    def token(self, path: str) -> str | None:
        if path == "/v1/sessions/current":
            return self._live_session()
        if path.startswith("/ops/"):
            return self.operator_token
        return self._live_key() if path.startswith(("/v1/keys", "/v1/sessions")) else None

    def _live_key(self) -> str:
        if self._get("/v1/keys", self.api_key).status_code != 200:  # Its caller may be banned.
            name = f"schemathesis-{secrets.token_hex(6)}"
            signed_up = self.http.post("/v1/signup", json={"name": name})
            self.api_key = signed_up.raise_for_status().json()["api_key"]
        return self.api_key

    def _live_session(self) -> str:
        if self._get("/v1/sessions/current", self.session_token).status_code != 200:
            asking = {"Authorization": f"Bearer {self._live_key()}"}
            opened = self.http.post("/v1/sessions", headers=asking)
            self.session_token = opened.raise_for_status().json()["session_token"]
        return self.session_token

    def _get(self, path: str, token: str) -> httpx.Response:
        return self.http.get(path, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def caller(live: Live) -> Iterator[Caller]:
    with httpx.Client(base_url=live.url, trust_env=False, timeout=10) as http:
        yield Caller(http, live.admin)


@pytest.mark.slow
def test_every_call_does_what_its_document_says(live_url: str, caller: Caller) -> None:
    settings = {
        "seed": 1,
        "max-time": SECONDS_MAX,
        "generation": {"max-examples": EXAMPLES, "database": "none", "deterministic": True},
        "request-timeout": 10,
    }
    config = SchemathesisConfig.from_dict(settings)
    schema: Any = schemathesis.openapi.from_url(f"{live_url}/openapi.json", config=config)
    schema = schema.exclude(path_regex=STREAMS)

    @schema.auth(refresh_interval=None)
    class Bearer:
        def get(self, case: Any, _context: Any) -> str | None:
            return caller.token(case.operation.path)

        def set(self, case: Any, token: str | None, _context: Any) -> None:
            if token is not None:
                case.headers["Authorization"] = f"Bearer {token}"

    faults: list[str] = []
    done: set[str] = set()
    for event in from_schema(schema).execute():
        match event:
            case ScenarioFinished(recorder=recorder):
                faults += [
                    f"{recorder.label}: {check.failure_info}"
                    for checks in recorder.checks.values()
                    for check in checks
                    if check.failure_info is not None
                ]
                done.update(_done(recorder))
            case NonFatalError(value=error, label=label):
                faults.append(f"{label}: {error!r}")
            case FatalError(exception=error):
                raise error
            case _:
                pass  # Phases begin and end.
    assert not faults, "\n".join(faults)
    calls = {operation.ok().label for operation in schema.get_all_operations()}
    # Else it was refused all along, and nothing was tried.
    assert done >= {call for call in calls if "{" not in call}


def _done(recorder: Any) -> Iterator[str]:
    """The calls that went well: made-up ids are never found, but all else is within reach."""
    for id, interaction in recorder.interactions.items():
        if interaction.response is not None and interaction.response.status_code < 300:
            yield recorder.cases[id].value.operation.label
