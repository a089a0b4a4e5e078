"""Spans to OTLP over HTTP, by OpenTelemetry's SDK, in the background.

Nobody waits for it: a span is put into a bounded queue, and beyond the bound it is dropped and
counted. One task takes a batch at a time, and a thread encodes and sends it; on stop there is a
moment for what is left. What the SDK reads from the environment (headers, timeout, certificates,
resource attributes) is its own documentation's; whether to export at all, ``common.settings``'s.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import NoReturn

import attrs
import structlog
import trio

from common.adapters.beside import beside
from common.adapters.calls import counted_to
from common.adapters.metrics import SPANS
from common.limits import (
    SPANS_BATCH_MAX,
    SPANS_LAST_SECONDS_MAX,
    SPANS_SECONDS,
    SPANS_WAITING_MAX,
)
from common.settings import Settings
from common.traces import NO_SPANS, Sampling, Span, Spans, is_sampled

_log = structlog.get_logger(__name__)

Send = Callable[[Sequence[Span]], bool]
"""Called in a thread; returns whether they arrived. It may take its time."""


@asynccontextmanager
async def open_spans(settings: Settings, role: str, name: str) -> AsyncIterator[Spans]:
    """Export the spans of the process ``name``, if the settings say so."""
    if not settings.exports_traces:
        yield NO_SPANS
        return
    # Half a second and 20 MB that nobody else is to pay for.
    from common.adapters.otlp_sender import OtlpSender

    sender = OtlpSender(settings, role, name)
    spans = QueuedSpans(settings.sampling, sender.send)
    try:
        async with beside(spans.run):
            yield spans
            await spans.finish()
    finally:
        sender.close()  # A thread that nobody waits for any more gives up, too.


@attrs.define(eq=False)
class QueuedSpans:
    """``run`` must be running for anything to be sent."""

    sampling: Sampling
    _send: Send
    _waiting: deque[Span] = attrs.field(factory=deque, init=False)
    _sending: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    # The process's other threads look up names of servers; they must not wait for this one.
    _limiter: trio.CapacityLimiter = attrs.field(
        factory=lambda: trio.CapacityLimiter(1), init=False
    )

    @property
    def is_on(self) -> bool:
        return True

    def now_ns(self) -> int:
        return time.time_ns()

    def record(self, span: Span) -> None:
        if len(self._waiting) < SPANS_WAITING_MAX:
            self._waiting.append(span)
        else:
            SPANS.labels("dropped").inc()

    @contextmanager
    def within(self, trace: str) -> Iterator[None]:
        if not is_sampled(trace):
            yield
            return
        with counted_to(self, trace):
            yield

    async def run(self) -> NoReturn:
        while True:
            await trio.sleep(SPANS_SECONDS)
            await self._send_all()

    async def finish(self) -> None:
        """Send what is left, in a moment or not at all."""
        with trio.move_on_after(SPANS_LAST_SECONDS_MAX):
            await self._send_all()
        SPANS.labels("dropped").inc(len(self._waiting))
        self._waiting.clear()

    async def _send_all(self) -> None:
        async with self._sending:
            while self._waiting:
                count = min(len(self._waiting), SPANS_BATCH_MAX)
                batch = [self._waiting.popleft() for _ in range(count)]
                has_arrived = False
                try:
                    has_arrived = await trio.to_thread.run_sync(
                        self._send, batch, abandon_on_cancel=True, limiter=self._limiter
                    )
                except Exception as error:  # noqa: BLE001 - a bug in it is no reason to fall.
                    _log.error("spans were not sent", error=repr(error))
                finally:
                    SPANS.labels("exported" if has_arrived else "failed").inc(count)
