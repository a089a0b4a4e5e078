"""All operators' calls, as ``gateway.http.app`` serves them."""

from __future__ import annotations

from typing import Any

from gateway.http.outside import Outside
from gateway.http.route import Route
from gateway.ops import agents, audit, chunks, tokens, words


def operator_routes(_outside: Outside) -> tuple[Route[Any, Any], ...]:
    return (
        *chunks.ROUTES,
        *agents.ROUTES,
        *audit.ROUTES,
        *words.ROUTES,
        *tokens.ROUTES,
    )
