"""One line of log a request, when its answer is over: which route, not which address.

It decides nothing; whoever ends an answer calls it. Paths and methods are a client's to choose, and
may hold a token or an e-mail address: only those that we know are written. Nor is the client's own
address.
"""

from __future__ import annotations

from typing import Any, cast

import structlog
import trio
from hypercorn.typing import HTTPScope, WebsocketScope

_log = structlog.get_logger(__name__)

_ROUTE, _TRACE = "tessera.route", "tessera.trace"
NO_ROUTE = "none"  # As in the metrics.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"})


def note(
    method: str, route: str, *, status: int | None, began: float, trace_id: str | None
) -> None:
    """``status`` None: the client went before there was an answer; ``began`` in trio's time."""
    _log.info(
        "request",
        method=known_method(method),
        route=route,
        status=status,
        seconds=round(trio.current_time() - began, 4),
        trace_id=trace_id,
    )


def note_route(scope: HTTPScope | WebsocketScope, route: str) -> None:
    """Remember which route answers the request of ``scope``."""
    cast("dict[str, Any]", scope)[_ROUTE] = route


def route_in(scope: HTTPScope) -> str:
    route: str = cast("dict[str, Any]", scope).get(_ROUTE, NO_ROUTE)
    return route


def note_trace(scope: WebsocketScope, trace_id: str) -> None:
    """Remember the trace of ``scope``, for a client that goes before it has an answer."""
    cast("dict[str, Any]", scope)[_TRACE] = trace_id


def trace_in(scope: HTTPScope | WebsocketScope) -> str | None:
    trace_id: str | None = cast("dict[str, Any]", scope).get(_TRACE)
    return trace_id


def known_method(method: str) -> str:
    return method if method in _METHODS else "other"
