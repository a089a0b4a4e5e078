"""The machine-readable documents, as pages: OpenAPI for the calls, AsyncAPI for the streams.

Made once, from the classes that the calls and frames themselves are made of.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gateway.http.asyncapi import describe_streams
from gateway.http.openapi import describe_calls
from gateway.http.pages import Page
from gateway.http.route import Route


def spec_pages(routes: Sequence[Route[Any, Any]]) -> tuple[Page, ...]:
    return (
        Page("/openapi.json", "application/json", _json(describe_calls(routes))),
        Page("/asyncapi.json", "application/json", _json(describe_streams())),
    )


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=1).encode()
