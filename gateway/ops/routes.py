"""All operators' calls, as ``gateway.http.app`` serves them."""

from __future__ import annotations

from typing import Any

from gateway.http.route import Route
from gateway.ops import agents, audit, chunks, tokens, topology, words


def operator_routes() -> tuple[Route[Any, Any], ...]:
    return (
        *topology.ROUTES,
        *chunks.ROUTES,
        *agents.ROUTES,
        *audit.ROUTES,
        *words.ROUTES,
        *tokens.ROUTES,
    )
