"""One command's trace, from the agent's frame to its result, through real processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import trio

from common.traces import command_trace
from common.traces import trace_id_of as id_in
from tests.collector import Collector, Heard, collecting
from tests.conftest import a_folder
from tests.end_to_end.cluster import GENEROUS, Cluster, tessera_up
from tests.end_to_end.stranger import Frame, connected, session_of, signed_up

pytestmark = pytest.mark.cluster

WAIT: Frame = {"name": "wait", "ticks": 2}
SPANS = ("command", "command.decide", "command.journal", "command.run", "command.result")


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def traced(collector: Collector) -> Iterator[Cluster]:
    environment = {
        **GENEROUS,
        "TESSERA_LOG_LEVEL": "debug",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
    }
    with a_folder() as folder, tessera_up(folder / "data", environment=environment) as cluster:
        yield cluster


def _parent(digit: str, flags: str = "01") -> tuple[str, str]:
    """A trace id, and the traceparent that somebody in front of us sends."""
    return digit * 32, f"00-{digit * 32}-{digit * 16}-{flags}"


async def _act(cluster: Cluster, name: str, *traceparent: str) -> tuple[str, str]:
    """Do one command to its result; return its session, and what X-Trace-Id says."""
    who = await signed_up(cluster.url(), name)
    session = await session_of(cluster.url(), who["api_key"])
    headers = [(b"traceparent", text.encode()) for text in traceparent]
    async with connected(cluster.url(), session, who["agent_id"], headers=headers) as stranger:
        assert (await stranger.ask("c-1", WAIT))["status"] == "accepted"
        assert (await stranger.next_for("c-1", "result"))["status"] == "completed"
        answered = dict(stranger.socket.handshake_headers or ())
    return session["session_id"], answered[b"x-trace-id"].decode()


def _of(spans: list[Heard], trace_id: str) -> dict[str, Heard]:
    return {span.name: span for span in spans if span.trace_id == trace_id}


async def _until(collector: Collector, trace_id: str, *names: str) -> dict[str, Heard]:
    def are_there(spans: list[Heard]) -> bool:
        return set(names) <= set(_of(spans, trace_id))

    return _of(await trio.to_thread.run_sync(collector.wait_for, are_there), trace_id)


def _lines(cluster: Cluster, trace_id: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in cluster.log().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("trace_id") == trace_id]


async def test_a_command_is_one_trace_through_gateway_stream_shard_and_journal_and_back(
    traced: Cluster, collector: Collector, name: str
) -> None:
    trace_id, traceparent = _parent("a")
    _, answered = await _act(traced, name, traceparent)
    assert answered == trace_id
    spans = await _until(collector, trace_id, *SPANS, "agent.admit", "redis bind")
    assert spans["redis bind"].parent_id == spans["agent.admit"].span_id
    root = spans["command"]
    assert root.parent_id == "a" * 16
    assert {spans[each].parent_id for each in SPANS[1:]} == {root.span_id}
    assert [spans[each].service for each in SPANS] == [
        "gateway", "shard", "shard", "shard", "gateway"
    ]  # fmt: skip
    assert spans["command.decide"].began_ns <= spans["command.journal"].began_ns
    assert spans["command.journal"].ended_ns <= spans["command.decide"].ended_ns
    assert root.began_ns <= spans["command.decide"].began_ns
    assert spans["command.decide"].ended_ns <= root.ended_ns <= spans["command.result"].ended_ns
    assert root.attributes["tessera.command"] == "wait"
    assert root.attributes["tessera.outcome"] == "accepted"
    assert spans["command.run"].attributes["tessera.outcome"] == "completed"


async def test_the_log_follows_a_command_by_its_trace(traced: Cluster, name: str) -> None:
    trace_id, traceparent = _parent("b")
    session, _ = await _act(traced, name, traceparent)
    wanted = {
        ("gateway-0", "command offered"), ("shard", "command decided"), ("shard", "command ended"),
        ("gateway-0", "command answered"), ("gateway-0", "command ended"),
        ("gateway-0", "agent gone"), ("gateway-0", "request"),
    }  # fmt: skip
    with trio.fail_after(10):
        while True:
            lines = _lines(traced, trace_id)
            told = {(line["process"].replace("shard-0", "shard").replace("shard-1", "shard"),
                     line["event"]) for line in lines}  # fmt: skip
            if wanted <= told:
                break
            await trio.sleep(0.1)
    assert {line["session"] for line in lines if line["event"] != "request"} == {session}
    (request,) = [line for line in lines if line["event"] == "request"]
    assert (request["method"], request["route"], request["status"]) == (
        "WEBSOCKET", "/v1/agent", 101
    )  # fmt: skip


async def test_a_command_without_a_caller_begins_a_trace_that_its_journal_row_names(
    traced: Cluster, collector: Collector, name: str
) -> None:
    session, connection_trace = await _act(traced, name)
    trace_id = id_in(command_trace(session, "c-1", 0))
    assert trace_id != connection_trace
    spans = await _until(collector, trace_id, *SPANS)
    assert spans["command"].parent_id == ""


async def test_who_is_not_sampled_in_front_of_us_is_not_here(
    traced: Cluster, collector: Collector, name: str
) -> None:
    trace_id, traceparent = _parent("c", flags="00")
    await _act(traced, name, traceparent)
    later, traceparent = _parent("d")
    await _act(traced, f"{name}-later", traceparent)
    await _until(collector, later, *SPANS)
    assert not _of(collector.spans, trace_id)
    assert _lines(traced, trace_id), "the log has it all the same"


async def test_a_call_is_a_span_with_what_it_asked_of_the_servers_below(
    traced: Cluster, collector: Collector, name: str
) -> None:
    trace_id, traceparent = _parent("e")
    async with httpx.AsyncClient(base_url=traced.url(), trust_env=False) as http:
        answer = await http.post(
            "/v1/signup", json={"name": name}, headers={"traceparent": traceparent}
        )
    assert answer.headers["x-trace-id"] == trace_id
    spans = await _until(collector, trace_id, "POST /v1/signup", "postgresql creating_an_agent")
    call = spans["POST /v1/signup"]
    assert call.parent_id == "e" * 16
    assert call.attributes["http.response.status_code"] == 201
    assert spans["postgresql creating_an_agent"].parent_id == call.span_id


def test_what_was_exported_is_counted(traced: Cluster, collector: Collector) -> None:
    httpx.get(f"{traced.url()}/v1/world").raise_for_status()
    collector.wait_for(lambda spans: any(span.service == "gateway" for span in spans))
    text = traced.metrics("gateway", 0)
    exported = [line for line in text.splitlines() if line.startswith("tessera_spans_total")]
    assert any('outcome="exported"' in line and float(line.split()[-1]) > 0 for line in exported)
