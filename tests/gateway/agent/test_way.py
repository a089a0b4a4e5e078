from __future__ import annotations

import logging
from collections.abc import Iterator

import attrs
import pytest
from structlog.testing import capture_logs
from trio.testing import MockClock

from common.commands import Wait
from common.envelopes import CommandOffered
from common.frames import Ack, Result
from common.grid import CommandId
from common.limits import ANSWERS_KEPT_MAX
from common.traces import NO_SPANS, Sampling, is_sampled, span_id_of, trace_id_of
from gateway.agent import telling
from gateway.agent.challenges import Asked
from gateway.agent.sitting import Sitting
from gateway.agent.way import Way, way_of
from tests.gateway.agent.builders import CHUNK, NOW_MS, a_result, a_sitting, an_ack
from tests.gateway.agent.scene import a_scene
from tests.spans import KeptSpans

PARENT = f"00-{'a' * 32}-{'b' * 16}-01"
UNSAMPLED = f"00-{'a' * 32}-{'b' * 16}-00"


def _sitting(parent: str = "") -> Sitting:
    return attrs.evolve(a_sitting(), parent=parent, sampling=Sampling(1.0))


def _offered(sitting: Sitting, id: str = "c-1") -> CommandOffered:
    return sitting.offer(Asked(CommandId(id), {}, Wait(3)), CHUNK, NOW_MS)


def _accepted(id: str = "c-1") -> Ack:
    return Ack(CommandId(id), "accepted", seq=1)


def _result(id: str = "c-1") -> Result:
    return telling.result(a_result(2, id))


@pytest.fixture
def debug() -> Iterator[None]:
    logger = logging.getLogger("gateway.agent.way")
    logger.setLevel(logging.DEBUG)
    yield
    logger.setLevel(logging.NOTSET)


def test_there_is_no_way_when_nobody_wants_to_know() -> None:
    assert way_of(_sitting(), NO_SPANS) is None
    assert way_of(_sitting(), KeptSpans()) is not None


def test_there_is_one_for_the_log_alone(debug: None) -> None:
    assert way_of(_sitting(), NO_SPANS) is not None


def test_a_command_is_a_span_from_its_offer_to_its_ack_and_one_to_its_result() -> None:
    sitting, spans = _sitting(PARENT), KeptSpans()
    way, message = Way(sitting, spans), _offered(sitting)
    way.offered(message)
    way.told(_accepted())
    way.told(_result())
    command, result = spans.spans
    assert (command.name, command.own, command.parent) == ("command", message.trace, PARENT)
    assert command.attributes["tessera.command"] == "wait"
    assert command.attributes["tessera.outcome"] == "accepted"
    assert (result.name, result.own, result.parent) == ("command.result", "", message.trace)
    assert result.attributes["tessera.outcome"] == "completed"
    assert command.began_ns < command.ended_ns < result.began_ns < result.ended_ns


def test_a_refused_command_is_one_span() -> None:
    sitting, spans = _sitting(), KeptSpans()
    way = Way(sitting, spans)
    way.offered(_offered(sitting))
    way.told(Ack(CommandId("c-1"), "rejected", "not_walkable"))
    (command,) = spans.spans
    assert command.attributes["tessera.outcome"] == "not_walkable"


def test_what_is_told_again_is_no_span_again() -> None:
    sitting, spans = _sitting(), KeptSpans()
    way = Way(sitting, spans)
    way.offered(_offered(sitting))
    for frame in (_accepted(), _accepted(), _result(), _accepted(), _result()):
        way.told(frame)
    assert [span.name for span in spans.spans] == ["command", "command.result"]


def test_who_comes_back_elsewhere_learns_the_trace_from_the_lines() -> None:
    sitting, spans = _sitting(PARENT), KeptSpans()
    trace = _offered(sitting).trace
    way = Way(_sitting(), spans)
    way.heard(attrs.evolve(an_ack(1), trace=trace))
    way.told(_accepted())
    way.told(_result())
    (result,) = spans.spans
    assert (result.name, result.parent) == ("command.result", trace)


def test_what_is_not_sampled_is_no_span() -> None:
    sitting, spans = _sitting(UNSAMPLED), KeptSpans()
    way = Way(sitting, spans)
    way.offered(_offered(sitting))
    way.told(_accepted())
    way.told(_result())
    assert spans.spans == []


def test_lines_of_log_name_the_trace_and_never_the_clients_id(debug: None) -> None:
    sitting = _sitting(PARENT)
    way = Way(sitting, NO_SPANS)
    id = "203.0.113.9-is-my-id"
    with capture_logs() as lines:
        way.offered(_offered(sitting, id))
        way.told(_accepted(id))
        way.told(_result(id))
        way.told(Ack(CommandId(id), "rejected", "in_flight"))
    assert [line["event"] for line in lines] == [
        "command offered", "command answered", "command ended", "command answered"
    ]  # fmt: skip
    assert {line["trace_id"] for line in lines} == {"a" * 32}
    assert "203.0.113.9" not in str(lines)


def test_it_forgets_the_oldest() -> None:
    sitting = _sitting()
    way = Way(sitting, KeptSpans())
    for number in range(ANSWERS_KEPT_MAX + 5):
        way.offered(_offered(sitting, f"c-{number}"))
    assert len(way._commands) == ANSWERS_KEPT_MAX


async def test_a_commands_trace_is_in_its_offer(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        client = await scene.connect(await scene.ticket())
        await client.command("c-1")
        (message,) = scene.shard.of(CommandOffered)
        assert len(trace_id_of(message.trace)) == 32
        assert not is_sampled(message.trace), "nobody exports anything"


async def test_a_caller_in_front_of_us_is_its_parent(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        headers = ((b"traceparent", PARENT.encode()),)
        client = await scene.connect(await scene.ticket(), headers=headers)
        await client.command("c-1")
        (message,) = scene.shard.of(CommandOffered)
        assert trace_id_of(message.trace) == "a" * 32
        assert span_id_of(message.trace) != "b" * 16
        assert is_sampled(message.trace), "he said so"
