"""What a plain GET of a WebSocket's address is told: upgrade (426).

The WebSockets themselves are served elsewhere, and never get here.
"""

from __future__ import annotations

from typing import Any

from gateway.http.callers import anybody, session_holder
from gateway.http.problems import Problem
from gateway.http.route import Ask, Route


async def ask_to_upgrade(_ask: Ask[Any, None]) -> Problem:
    return Problem("upgrade_required", "This is a WebSocket: connect with Upgrade: websocket.")


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        "GET",
        "/v1/agent",
        "Act: the agent WebSocket (see /asyncapi.json)",
        session_holder,
        type(None),
        ask_to_upgrade,
        answers={},
        refusals=("upgrade_required", "resume_refused"),
    ),
    Route(
        "GET",
        "/v1/spectate/ws",
        "Watch: the spectators' stream as a WebSocket (see /asyncapi.json)",
        anybody,
        type(None),
        ask_to_upgrade,
        answers={},
        refusals=("upgrade_required", "validation_failed", "rate_limited"),
    ),
)
