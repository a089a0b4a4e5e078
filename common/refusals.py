"""Every way to say no, by the protocol's own words.

Pure. A refusal is a value that goes back to whoever asked; it is never an exception.
"""

from __future__ import annotations

import enum
from typing import Literal

AckCode = Literal[
    "in_flight", "invalid_signature", "challenge_expired", "challenge_unknown", "cooldown",
    "rate_limited", "muted", "moderated", "out_of_range", "not_walkable", "scope_missing",
    "unavailable", "validation_failed",
]  # fmt: skip
"""Why a command was not accepted."""

FailReason = Literal[
    "blocked", "unreachable", "boundary_refused", "cancelled", "session_ended", "unavailable"
]
"""Why an accepted command did not complete."""

WithdrawReason = Literal["cancelled", "session_ended"]
"""Why an accepted command was ended from outside, before it could."""

LeftReason = Literal["moved", "session_ended"]

ProblemCode = Literal[
    "unauthorized", "scope_missing", "role_missing", "banned", "not_found", "method_not_allowed",
    "name_taken", "resume_refused", "request_timeout", "too_large", "unsupported_media_type",
    "validation_failed", "upgrade_required", "rate_limited", "unavailable", "internal",
]  # fmt: skip
"""The ``code`` of an HTTP problem."""

ResyncReason = Literal["out_of_range", "slow"]


class CloseCode(enum.IntEnum):
    """Why a WebSocket was closed (RFC 6455 section 7.4, and ours from 4000)."""

    NORMAL = 1000
    POLICY = 1008
    TOO_BIG = 1009
    RESTARTING = 1012
    OVERLOADED = 1013
    REPLACED = 4001
    SESSION_ENDED = 4003
    TOO_SLOW = 4008

    @property
    def resume(self) -> bool:
        """Whether the client should come back with its resume token."""
        return self in (CloseCode.RESTARTING, CloseCode.OVERLOADED, CloseCode.TOO_SLOW)
