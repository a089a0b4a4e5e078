"""Lists in pages: ``?limit=&cursor=``, and ``{"items": [...], "next_cursor": str | null}``.

Pure. A cursor is what the last item that was given is called, so that what comes or goes between
two pages moves nothing else; clients are told to pass it on as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import attrs

from common.limits import PAGE_ITEMS, PAGE_ITEMS_MAX
from common.wire import Fault
from gateway.http.problems import Problem

I = TypeVar("I")  # noqa: E741 - an item.

Query = Mapping[str, Sequence[str]]
Check = Callable[[str], bool]


@attrs.frozen
class Page:
    """At most ``limit`` items after the one called ``after``; ``more`` else that was asked."""

    limit: int = PAGE_ITEMS
    after: str | None = None
    more: Mapping[str, str] = attrs.field(factory=dict)


def page_of(
    query: Query, is_name: Check, known: Mapping[str, Check] | None = None
) -> Page | Problem:
    """Read ``query``, which has nothing else but what is ``known`` and right.

    ``is_name``: whether a cursor can be what an item of the list is called.
    """
    checks: dict[str, Check] = {
        "limit": _is_limit,
        "cursor": is_name,
        **(known or {}),
    }
    faults = [
        Fault(f"?{name}", fault)
        for name, values in query.items()
        if (fault := _fault(checks.get(name), values))
    ]
    if faults:
        return Problem(
            "validation_failed", "The query is not what this call takes.", errors=tuple(faults)
        )
    given = {name: values[0] for name, values in query.items()}
    return Page(
        int(given.get("limit", PAGE_ITEMS)),
        given.get("cursor"),
        {name: value for name, value in given.items() if name not in ("limit", "cursor")},
    )


def _fault(check: Check | None, values: Sequence[str]) -> str | None:
    if check is None:
        return "unknown parameter"
    if len(values) > 1:
        return "is there more than once"
    return None if check(values[0]) else "is not what this call takes"


def _is_limit(text: str) -> bool:
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(PAGE_ITEMS_MAX))
    return is_number and 1 <= int(text) <= PAGE_ITEMS_MAX


def next_cursor(page: Page, items: Sequence[I], name: Callable[[I], str]) -> str | None:
    """The cursor of what follows ``items``, which were asked for by ``page``; None at the end."""
    return name(items[-1]) if len(items) == page.limit else None
