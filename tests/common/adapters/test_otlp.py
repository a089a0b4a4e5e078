from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import pytest
import trio
from prometheus_client import REGISTRY

from common.adapters.calls import REDIS
from common.adapters.otlp import QueuedSpans, open_spans
from common.errors import InDoubt
from common.limits import SPANS_BATCH_MAX, SPANS_LAST_SECONDS_MAX, SPANS_WAITING_MAX
from common.settings import read_settings
from common.traces import NO_SPANS, Sampling, Span, traceparent
from tests.collector import Collector, collecting

TRACE, ROOT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
OWN = traceparent(TRACE, ROOT, is_sampled=True)
CHILD = Span("child", "client", 5, 9, OWN, attributes={"tessera.rows": 3, "tessera.outcome": "ok"})


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


def _counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("tessera_spans_total", {"outcome": outcome}) or 0.0


async def test_without_an_endpoint_there_is_no_exporter() -> None:
    async with open_spans(read_settings({}), "gateway", "g-1") as spans:
        assert spans is NO_SPANS


async def test_spans_arrive_with_their_ids_times_and_words(collector: Collector) -> None:
    settings = read_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
    before = _counted("exported")
    async with open_spans(settings, "shard", "s-1") as spans:
        spans.record(Span("root", "server", 1_000, 2_000, own=OWN, has_failed=True))
        spans.record(CHILD)
    root, child = sorted(collector.spans, key=lambda span: span.name, reverse=True)
    assert (root.service, root.name) == ("shard", "root")
    assert (root.trace_id, root.span_id, root.parent_id) == (TRACE, ROOT, "")
    assert (root.began_ns, root.ended_ns) == (1_000, 2_000)
    assert (child.trace_id, child.parent_id) == (TRACE, ROOT)
    assert child.span_id not in ("", ROOT)
    assert child.attributes == {"tessera.rows": 3, "tessera.outcome": "ok"}
    assert "STATUS_CODE_ERROR" in collector.raw[0]
    assert 'string_value: "s-1"' in collector.raw[0]
    assert _counted("exported") == before + 2


async def test_a_collector_that_hangs_does_not_hold_up_a_stop(collector: Collector) -> None:
    collector.delay_seconds = 3.0
    settings = read_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
    async with open_spans(settings, "shard", "s-1") as spans:
        spans.record(CHILD)
        began = time.monotonic()
    assert time.monotonic() - began < SPANS_LAST_SECONDS_MAX + 0.3


async def test_nobody_waits_while_spans_are_sent() -> None:
    async with trio.open_nursery() as nursery:
        spans = QueuedSpans(Sampling(1.0), _slowly)
        nursery.start_soon(spans.run)
        spans.record(CHILD)
        worst = 0.0
        for _ in range(30):
            began = time.perf_counter()
            await trio.sleep(0.05)
            worst = max(worst, time.perf_counter() - began)
        assert worst < 0.5, "the thread sleeps, trio does not"
        nursery.cancel_scope.cancel()


def _slowly(_spans: Sequence[Span]) -> bool:
    time.sleep(1.0)
    return True


async def test_beyond_the_bound_spans_are_dropped_and_counted() -> None:
    sent: list[int] = []

    def send(spans: Sequence[Span]) -> bool:
        sent.append(len(spans))
        return True

    spans, before = QueuedSpans(Sampling(1.0), send), _counted("dropped")
    for _ in range(SPANS_WAITING_MAX + 7):
        spans.record(CHILD)
    assert _counted("dropped") == before + 7
    await spans.finish()
    assert sum(sent) == SPANS_WAITING_MAX
    assert max(sent) == SPANS_BATCH_MAX


async def test_what_fails_is_counted_and_the_next_is_sent() -> None:
    answers = iter([False, None, True])

    def send(_spans: Sequence[Span]) -> bool:
        if (answer := next(answers)) is None:
            raise RuntimeError("a bug in the exporter")
        return answer

    spans = QueuedSpans(Sampling(1.0), send)
    failed, exported = _counted("failed"), _counted("exported")
    for _ in range(3):
        spans.record(CHILD)
        await spans.finish()
    assert (_counted("failed"), _counted("exported")) == (failed + 2, exported + 1)


async def test_calls_within_a_sampled_trace_are_its_children() -> None:
    spans = QueuedSpans(Sampling(1.0), lambda _: True)
    with spans.within(OWN):
        REDIS.ended("offer", time.perf_counter(), "ok")
        REDIS.failed("XREAD", time.perf_counter(), InDoubt("no answer"))
    REDIS.ended("offer", time.perf_counter(), "ok")
    with spans.within(OWN[:-1] + "0"):
        REDIS.ended("offer", time.perf_counter(), "ok")
    first, second = spans._waiting
    assert (first.name, first.parent, first.has_failed) == ("redis offer", OWN, False)
    assert (second.name, second.has_failed) == ("redis xread", True)
    assert second.attributes["tessera.outcome"] == "in_doubt"
