"""``GET /ops/audit``: what operators did, and what was refused to whom; the newest first.

It only reads. ``result`` is ``ok``, the code of a problem, or ``unknown`` when the gateway that
carried the call out died before it could say.
"""

from __future__ import annotations

import re
from typing import Annotated

import attrs
from msgspec import Meta

from common.operators import Audited, OperatorToken, Role
from common.times import timestamp
from gateway.http.grants import Time
from gateway.http.problems import Problem
from gateway.http.route import Ask, Route
from gateway.ops.callers import VIEWER
from gateway.ops.paging import next_cursor, page_of

_ID = re.compile(r"[1-9][0-9]{0,17}")
_UNKNOWN = "unknown"


@attrs.frozen
class AuditRow:
    """``actor`` is a token's id, ``anybody`` or ``terminal``."""

    id: Annotated[int, Meta(ge=1)]
    at: Time
    actor: str
    role: Role | None
    action: str
    target: str
    status: int | None
    result: str
    trace_id: str


@attrs.frozen
class AuditRows:
    items: list[AuditRow]
    next_cursor: str | None


async def list_audit(ask: Ask[OperatorToken, None]) -> AuditRows | Problem:
    page = page_of(ask.query, _is_id, {"changes": lambda text: text in ("true", "false")})
    if isinstance(page, Problem):
        return page
    before = None if page.after is None else int(page.after)
    changes_only = page.more.get("changes") == "true"
    rows = await ask.outside.operators.audit(before, page.limit, changes_only=changes_only)
    return AuditRows(
        [_shown(row) for row in rows], next_cursor(page, rows, lambda row: str(row.id))
    )


def _is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def _shown(row: Audited) -> AuditRow:
    call, outcome = row.call, row.outcome
    return AuditRow(
        row.id,
        timestamp(call.at),
        call.actor,
        call.role,
        call.action,
        call.target,
        outcome.status if outcome else None,
        outcome.result if outcome else _UNKNOWN,
        call.trace_id,
    )


ROUTES = (
    Route(
        "GET",
        "/ops/audit",
        "List what operators did, the newest first",
        VIEWER,
        type(None),
        list_audit,
        answers={AuditRows: 200},
        refusals=("validation_failed",),
    ),
)
