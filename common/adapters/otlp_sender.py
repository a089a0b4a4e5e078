"""Our spans as OpenTelemetry's, encoded and sent. It blocks: call it in a thread, one at a time.

The SDK makes the spans, as of any program; only that their ids and times are ours. Importing this
takes a while.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from common.settings import Settings
from common.traces import Kind, Span, span_id_of, trace_id_of

_KINDS: Mapping[Kind, api.SpanKind] = {
    "server": api.SpanKind.SERVER,
    "client": api.SpanKind.CLIENT,
    "producer": api.SpanKind.PRODUCER,
    "consumer": api.SpanKind.CONSUMER,
    "internal": api.SpanKind.INTERNAL,
}
_SAMPLED = api.TraceFlags(api.TraceFlags.SAMPLED)


class OtlpSender:
    def __init__(self, settings: Settings, role: str, name: str) -> None:
        self._exporter = OTLPSpanExporter(endpoint=settings.traces_endpoint)
        self._ids, self._made = _Ids(), _Made()
        resource = Resource.create(
            {"service.namespace": "tessera", "service.name": role, "service.instance.id": name}
        )
        provider = TracerProvider(
            sampler=ALWAYS_ON,  # What is not sampled does not come here.
            resource=resource,
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        provider.add_span_processor(self._made)
        self._tracer = provider.get_tracer("tessera")

    def send(self, spans: Sequence[Span]) -> bool:
        for span in spans:
            self._make(span)
        return self._exporter.export(list(self._made.take())) is SpanExportResult.SUCCESS

    def close(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # The SDK gives it no types.

    def _make(self, span: Span) -> None:
        self._ids.own = span.own
        made = self._tracer.start_span(
            span.name,
            _within(span.parent),
            _KINDS[span.kind],
            span.attributes,
            start_time=span.began_ns,
        )
        if span.has_failed:
            made.set_status(api.StatusCode.ERROR)
        made.end(span.ended_ns)


def _within(parent: str) -> Context:
    if not parent:
        return Context()
    trace_id, span_id = int(trace_id_of(parent), 16), int(span_id_of(parent), 16)
    remote = api.SpanContext(trace_id, span_id, is_remote=True, trace_flags=_SAMPLED)
    return api.set_span_in_context(api.NonRecordingSpan(remote), Context())


class _Ids(IdGenerator):
    """Gives the next span the ids that others know it by, if there are any."""

    own = ""

    def generate_trace_id(self) -> int:
        assert self.own, "a span without a parent has an id of its own"
        return int(trace_id_of(self.own), 16)

    def generate_span_id(self) -> int:
        # No secret; and not of the dice that a simulation counts on: this runs in no simulation.
        return int(span_id_of(self.own), 16) if self.own else random.getrandbits(64) or 1


class _Made(SpanProcessor):
    def __init__(self) -> None:
        self._spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self._spans.append(span)

    def take(self) -> Iterator[ReadableSpan]:
        spans, self._spans = self._spans, []
        return iter(spans)
