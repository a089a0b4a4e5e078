"""What the spectators' endpoints read of a request beside its view. Pure."""

from __future__ import annotations

from hypercorn.typing import HTTPScope, WebsocketScope

from common.wire import Fault
from gateway.http.problems import Problem


def header(scope: HTTPScope | WebsocketScope, wanted: bytes) -> str:
    """Return the one header of that name; "" when there is none or more than one."""
    values = [value for name, value in scope["headers"] if name == wanted]
    return values[0].decode("latin-1") if len(values) == 1 else ""


def has_body(scope: HTTPScope | WebsocketScope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


def invalid(faults: tuple[Fault, ...]) -> Problem:
    return Problem("validation_failed", "The view can't be shown; see errors.", errors=faults)
