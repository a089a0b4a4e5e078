"""What a client brings along when it asks for the agent WebSocket.

Pure: from an ASGI scope to a value. It judges no token; what can't be read becomes one that
nobody has.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

import attrs
from hypercorn.typing import WebsocketScope

from common.traces import NO_SAMPLING, Sampling
from gateway.access import bearer_of
from gateway.http.tracing import Call, call_of

SUBPROTOCOL = "tessera.v1"
_BEARER = "bearer."
_SEQ_DIGITS_MAX = 15  # A session of a day can't say more; and it fits in any number.


@attrs.frozen
class Resume:
    """``last_seq`` is None when it was not a number."""

    token: str = attrs.field(repr=False)
    last_seq: int | None


@attrs.frozen
class Knock:
    """``subprotocol`` is what to answer; ``resume`` is None when none was asked for."""

    token: str = attrs.field(repr=False)
    subprotocol: str | None
    resume: Resume | None
    call: Call


def knock_of(scope: WebsocketScope, sampling: Sampling = NO_SAMPLING) -> Knock:
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    offered = list(scope["subprotocols"])
    return Knock(
        bearer_of(headers.get(b"authorization", "")) or _bearer_among(offered),
        SUBPROTOCOL if SUBPROTOCOL in offered else None,
        _resume_of(scope["query_string"]),
        call_of(headers.get(b"traceparent", ""), sampling),
    )


def _bearer_among(subprotocols: list[str]) -> str:
    """Browsers can't set the header, so the token may come as ``bearer.<token>``."""
    tokens = (each[len(_BEARER) :] for each in subprotocols if each.startswith(_BEARER))
    return next(tokens, "")


def _resume_of(query: bytes) -> Resume | None:
    asked = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    if "resume" not in asked:
        return None
    return Resume(asked["resume"], _seq_of(asked.get("last_seq", "0")))


def _seq_of(text: str) -> int | None:
    plain = text.isascii() and text.isdigit() and len(text) <= _SEQ_DIGITS_MAX
    return int(text) if plain else None
