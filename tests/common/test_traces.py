from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.traces import (
    NO_SAMPLING,
    NO_SPANS,
    Sampling,
    command_trace,
    is_sampled,
    read_traceparent,
    span_id_of,
    trace_id_of,
)

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = PARENT[:-1] + "0"
ALL = Sampling(1.0)


@pytest.mark.parametrize("text", [PARENT, UNSAMPLED])
def test_a_traceparent_is_read_as_it_is(text: str) -> None:
    assert read_traceparent(text) == text
    assert trace_id_of(text) == "0af7651916cd43dd8448eb211c80319c"
    assert span_id_of(text) == "b7ad6b7169203331"


def test_one_of_a_later_version_is_read_as_one_of_ours() -> None:
    assert read_traceparent("cc" + PARENT[2:]) == PARENT


@given(st.text())
def test_nothing_that_is_none_is_read(text: str) -> None:
    assert read_traceparent(text) == ""


def test_whether_it_is_sampled_is_its_last_bit() -> None:
    assert is_sampled(PARENT)
    assert is_sampled(PARENT[:-2] + "03")
    assert not is_sampled(UNSAMPLED)
    assert not is_sampled("")


sessions, ids = st.text(min_size=1), st.text(min_size=1)
expiries = st.integers(0, 2**45)


@given(sessions, ids, expiries)
def test_the_trace_of_a_command_is_valid(session: str, id: str, expires_at_ms: int) -> None:
    trace = command_trace(session, id, expires_at_ms)
    assert read_traceparent(trace) == trace


def test_it_is_pinned_for_who_finds_the_trace_of_a_journal_row() -> None:
    assert command_trace("ses_1", "c-1", 1_795_000_006_000) == (
        "00-fd02519ceaf39114471812f3a088c700-471813524edeb270-00"
    )


@given(expiries, expiries)
def test_an_id_offered_again_is_another_span_of_the_same_trace(one: int, other: int) -> None:
    first, second = command_trace("ses_1", "c-1", one), command_trace("ses_1", "c-1", other)
    assert trace_id_of(first) == trace_id_of(second)
    assert (span_id_of(first) == span_id_of(second)) == (one == other)


def test_other_commands_and_other_sessions_are_other_traces() -> None:
    traces = {trace_id_of(command_trace(s, i, 0)) for s in ("ses_1", "ses_2") for i in ("a", "b")}
    assert len(traces) == 4


def test_a_command_is_in_the_trace_of_who_is_in_front_of_us() -> None:
    trace = command_trace("ses_1", "c-1", 6_000, PARENT)
    assert trace_id_of(trace) == trace_id_of(PARENT)
    assert span_id_of(trace) != span_id_of(PARENT)
    assert is_sampled(trace), "as he says"
    assert not is_sampled(command_trace("ses_1", "c-1", 6_000, UNSAMPLED, ALL))


def test_who_does_not_heed_his_parent_decides_himself() -> None:
    alone = Sampling(0.0, heeds_parent=False)
    assert not is_sampled(command_trace("ses_1", "c-1", 6_000, PARENT, alone))


def test_a_share_of_the_traces_is_sampled() -> None:
    half = Sampling(0.5)
    sampled = [is_sampled(command_trace("ses_1", f"c-{n}", 0, "", half)) for n in range(2_000)]
    assert 900 < sum(sampled) < 1_100
    assert not any(is_sampled(command_trace("s", str(n), 0)) for n in range(100))
    assert all(is_sampled(command_trace("s", str(n), 0, "", ALL)) for n in range(100))


def test_the_share_is_what_opentelemetry_samples() -> None:
    from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

    for share in (0.0, 0.1, 0.5, 1.0):
        theirs, ours = TraceIdRatioBased(share), Sampling(share)
        for number in range(200):
            trace_id = trace_id_of(command_trace("ses_1", str(number), 0))
            decision = theirs.should_sample(None, int(trace_id, 16), "x").decision
            assert ours.samples(trace_id) == (decision is Decision.RECORD_AND_SAMPLE)


def test_without_an_exporter_nothing_is_on() -> None:
    assert not NO_SPANS.is_on
    assert NO_SPANS.sampling == NO_SAMPLING
    with NO_SPANS.within(PARENT):
        pass
