"""What a key or a session is given when it is made: scopes, expiry, and the shape of both.

Pure. Nobody can give what he does not have: not a scope, and not a day more of life.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated

from msgspec import Meta

from common.accounts import Scope
from common.times import timestamp
from gateway.http.problems import Problem

Scopes = Annotated[
    list[Scope], Meta(min_length=1, max_length=len(Scope), description="Default: all of the key's.")
]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


def granted(asked: Sequence[Scope] | None, held: frozenset[Scope]) -> frozenset[Scope] | Problem:
    """Return the scopes to give, all that are ``held`` when none were asked for in particular."""
    scopes = held if asked is None else frozenset(asked)
    if missing := scopes - held:
        return Problem("scope_missing", f"The key lacks: {', '.join(sorted(missing))}.")
    return scopes


def listed(scopes: Iterable[Scope]) -> list[Scope]:
    return sorted(scopes)


def time_or_none(moment: datetime | None) -> str | None:
    return None if moment is None else timestamp(moment)


def earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)
