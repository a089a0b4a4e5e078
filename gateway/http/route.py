"""What one HTTP call is: its path, who may make it, what it takes, what it answers.

Values only: ``app`` serves them and ``openapi`` describes them, so the two can't disagree.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import attrs

from common.refusals import ProblemCode
from gateway.http.outside import Outside
from gateway.http.problems import Problem

C = TypeVar("C")
B = TypeVar("B")


@attrs.frozen
class Ask(Generic[C, B]):
    """One request, understood: ``caller`` and ``body`` are what the route asks for."""

    outside: Outside
    caller: C
    body: B
    named: str
    """The id in the path, "" when the path has none. Any text at all."""
    address: str
    query: Mapping[str, Sequence[str]] = attrs.field(factory=dict)
    """What follows the path, by name; each may be there several times."""


@attrs.frozen
class Done:
    """An answer without a body, 204."""


@attrs.frozen
class Route(Generic[C, B]):
    method: str
    path: str
    """With at most one parameter, as ``/v1/keys/{key_id}``."""
    summary: str
    caller: Callable[[Outside, str], Awaitable[C | Problem]]
    body: type[B]
    """What the body must be; NoneType: the call has none."""
    handle: Callable[[Ask[C, B]], Awaitable[Any]]
    """Returns an instance of one of ``answers``, or a Problem with one of ``refusals``."""
    answers: Mapping[type, int]
    refusals: tuple[ProblemCode, ...] = ()
    """Beside those that follow from ``caller`` and ``body``, and those of every call."""
