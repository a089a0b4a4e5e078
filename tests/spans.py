"""Spans that are kept, for tests that look at them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from common.traces import Sampling, Span


@attrs.define(eq=False)
class KeptSpans:
    is_on: bool = True
    sampling: Sampling = attrs.field(default=Sampling(1.0))
    spans: list[Span] = attrs.field(factory=list)
    ns: int = 0

    def now_ns(self) -> int:
        self.ns += 1
        return self.ns

    def record(self, span: Span) -> None:
        self.spans.append(span)

    @contextmanager
    def within(self, trace: str) -> Iterator[None]:
        yield

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]
