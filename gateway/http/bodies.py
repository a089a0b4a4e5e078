"""From a request's body to a value of ours, or the problem with it.

Quart bounds size and time (``app`` sets both, and maps what it raises); here is what the bytes
mean. No body at all stands for ``{}``, so that calls whose fields are all optional need none.
"""

from __future__ import annotations

from typing import TypeVar

from quart import Request

from common import wire
from gateway.http.problems import Problem

B = TypeVar("B")


async def read_body(request: Request, kind: type[B]) -> B | Problem:
    if request.mimetype not in ("", "application/json"):
        return _unsupported()
    data = await request.get_data(cache=True, as_text=False, parse_form_data=False)
    if data and not request.mimetype:
        return _unsupported()
    try:
        return wire.structure(_integers(wire.parse(data or b"{}")), kind)
    except wire.Malformed as malformed:
        return Problem(
            "validation_failed", "The body is not what this call takes.", errors=malformed.faults
        )


def _integers(value: object) -> object:
    """Return ``value`` with 60 for 60.0: JSON Schema, and so our document, makes no difference."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [_integers(item) for item in value]
        case dict():
            return {name: _integers(item) for name, item in value.items()}
        case _:
            return value


def _unsupported() -> Problem:
    return Problem("unsupported_media_type", "Send JSON, with Content-Type: application/json.")
