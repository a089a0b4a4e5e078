"""Every way an HTTP call is refused: a value on the way, RFC 9457 on the wire.

It decides nothing. A problem never says what went wrong inside: that goes to the log, under the
same ``trace_id``.
"""

from __future__ import annotations

import http
import math
from collections.abc import Mapping
from typing import Annotated, Literal

import attrs
from msgspec import Meta

from common.limits import RETRY_AFTER_MS
from common.refusals import ProblemCode
from common.wire import Fault

STATUSES: Mapping[ProblemCode, int] = {
    "unauthorized": 401,
    "scope_missing": 403,
    "role_missing": 403,
    "banned": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "name_taken": 409,
    "resume_refused": 409,
    "too_large": 413,
    "unsupported_media_type": 415,
    "validation_failed": 422,
    "upgrade_required": 426,
    "rate_limited": 429,
    "internal": 500,
    "unavailable": 503,
}

_HEADERS: Mapping[ProblemCode, Mapping[str, str]] = {
    "unauthorized": {"WWW-Authenticate": "Bearer"},  # RFC 9110, section 11.6.1.
    "request_timeout": {"Connection": "close"},  # The rest of the body may still come.
    "unsupported_media_type": {"Accept": "application/json"},  # RFC 9110, section 15.5.16.
    "upgrade_required": {"Upgrade": "websocket", "Connection": "Upgrade"},  # Section 15.5.22.
}


@attrs.frozen
class Problem:
    """A refusal; ``detail`` is for a person to read, and says what to do."""

    code: ProblemCode
    detail: str
    retry_after_ms: int | None = None
    errors: tuple[Fault, ...] = ()

    @property
    def status(self) -> int:
        return STATUSES[self.code]

    @property
    def headers(self) -> Mapping[str, str]:
        if self.retry_after_ms is None:
            return _HEADERS.get(self.code, {})
        return {"Retry-After": str(math.ceil(self.retry_after_ms / 1000))}


BANNED = Problem("banned", "An operator has banned this agent.")


@attrs.frozen
class FieldError:
    """One thing that is wrong in a body, ``path`` from its root ``$``."""

    path: str
    message: str


@attrs.frozen
class ProblemDetails:
    """A refusal as RFC 9457 writes it."""

    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    code: ProblemCode
    detail: str
    trace_id: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    retry_after_ms: Annotated[int, Meta(ge=1)] | None = None
    errors: list[FieldError] | None = None
    type: Literal["about:blank"] = attrs.field(default="about:blank", kw_only=True)


def details_of(problem: Problem, trace_id: str) -> ProblemDetails:
    return ProblemDetails(
        title=http.HTTPStatus(problem.status).phrase,
        status=problem.status,
        code=problem.code,
        detail=problem.detail,
        trace_id=trace_id,
        retry_after_ms=problem.retry_after_ms,
        errors=[FieldError(fault.path, fault.message) for fault in problem.errors] or None,
    )


def unavailable() -> Problem:
    return Problem(
        "unavailable",
        "Redis or PostgreSQL did not answer, so this may or may not have been done. Try again.",
        RETRY_AFTER_MS,
    )
