"""Counts the calls to one server, and makes spans of those that belong to a sampled trace.

It changes nothing about a call. An operation is a word of ours, never what was sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter
from typing import Literal

import trio
from prometheus_client import Histogram

from common.adapters.metrics import POSTGRES_SECONDS, REDIS_SECONDS
from common.errors import InDoubt, Unavailable
from common.traces import Span, Spans

Outcome = Literal["ok", "unavailable", "in_doubt", "refused", "cancelled"]

_TRACE: ContextVar[tuple[Spans, str] | None] = ContextVar("trace", default=None)


@contextmanager
def counted_to(spans: Spans, trace: str) -> Iterator[None]:
    """Make spans of the calls in the block, as children of ``trace``."""
    token = _TRACE.set((spans, trace))
    try:
        yield
    finally:
        _TRACE.reset(token)


class Calls:
    """Of one server; ``began`` of a call is ``perf_counter()``."""

    def __init__(self, system: str, seconds: Histogram) -> None:
        self._system = system
        self._seconds = seconds
        self._known: dict[tuple[str, Outcome], Histogram] = {}

    def ended(self, doing: str, began: float, outcome: Outcome) -> None:
        seconds = perf_counter() - began
        counted = self._known.get((doing, outcome))
        if counted is None:
            counted = self._seconds.labels(_operation(doing), outcome)
            self._known[doing, outcome] = counted
        counted.observe(seconds)
        if (within := _TRACE.get()) is not None:
            self._record(*within, doing, seconds, outcome)

    def failed(self, doing: str, began: float, error: BaseException) -> None:
        self.ended(doing, began, outcome_of(error))

    def _record(
        self, spans: Spans, trace: str, doing: str, seconds: float, outcome: Outcome
    ) -> None:
        operation, ended_ns = _operation(doing), spans.now_ns()
        spans.record(
            Span(
                f"{self._system} {operation}",
                "client",
                ended_ns - int(seconds * 1e9),
                ended_ns,
                trace,
                attributes={
                    "db.system.name": self._system,
                    "db.operation.name": operation,
                    "tessera.outcome": outcome,
                },
                has_failed=outcome != "ok",
            )
        )


def _operation(doing: str) -> str:
    return doing.lower().replace(" ", "_").replace("'", "")


def outcome_of(error: BaseException) -> Outcome:
    match error:
        case Unavailable():
            return "unavailable"
        case InDoubt():
            return "in_doubt"
        case trio.Cancelled():
            return "cancelled"
        case _:
            return "refused"  # It answered, with an error.


REDIS = Calls("redis", REDIS_SECONDS)
POSTGRES = Calls("postgresql", POSTGRES_SECONDS)
