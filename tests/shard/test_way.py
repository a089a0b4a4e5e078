"""The trace of a command in a shard: in its ack, its result, over borders, in spans and lines."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import attrs
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from common.commands import Wait
from common.envelopes import CommandOffered
from common.grid import CommandId, SessionId
from common.limits import TRACES_MAX
from common.traces import command_trace
from shard.outside import Outside
from shard.way import Way
from tests.shard.town import Town
from tests.spans import KeptSpans

PARENT = f"00-{'a' * 32}-{'b' * 16}-01"
UNSAMPLED = f"00-{'a' * 32}-{'b' * 16}-00"


@pytest.fixture
def shard_count() -> int:
    return 2


def _traced(message: CommandOffered, parent: str = PARENT) -> CommandOffered:
    trace = command_trace(message.session, message.id, message.expires_at_ms, parent)
    return attrs.evolve(message, trace=trace)


def _watched(town: Town, spans: KeptSpans) -> Outside:
    return attrs.evolve(town.outside(), spans=spans)


async def test_ack_and_result_name_the_trace(autojump_clock: MockClock, town: Town) -> None:
    town.start("s1")
    await town.join("ann")
    message = _traced(town.command("ann", "c1", Wait(2)))
    await town.offer(message)
    await town.wait_for(lambda: town.results("c1"))
    told = [line.trace for line in town.acks("c1")] + [line.trace for line in town.results("c1")]
    assert set(told) == {message.trace}


async def test_a_refusal_names_it_too(autojump_clock: MockClock, town: Town) -> None:
    town.start("s1")
    await town.join("ann")
    await town.offer(town.command("ann", "c1", Wait(50)))
    message = _traced(town.command("ann", "c2", Wait(1)))
    await town.offer(message)
    await town.wait_for(lambda: town.acks("c2"))
    (refusal,) = set(town.acks("c2"))
    assert (refusal.code, refusal.trace) == ("in_flight", message.trace)


async def test_it_goes_over_the_border_to_another_process(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await trio.sleep(0.1)
    town.start("s2")
    await town.join("ann")
    message = _traced(town.command("ann", "c1", town.goal("1:0")))
    await town.offer(message)
    await town.wait_for(lambda: town.results("c1"), 200)
    (result,) = set(town.results("c1"))
    assert (result.chunk, result.trace) == ("1:0", message.trace)


async def test_after_a_crash_a_result_goes_without(autojump_clock: MockClock, town: Town) -> None:
    town.start("s1")
    await town.join("ann")
    await town.offer(_traced(town.command("ann", "c1", Wait(20))))
    await town.wait_for(lambda: town.acks("c1"))
    await town.kill("s1")
    town.start("s2")  # It finds the other slot free, and the next one in time this.
    town.start("s3")
    await town.wait_for(lambda: town.results("c1"), 60)
    (result,) = set(town.results("c1"))
    assert result.trace == "", "rather none than a wrong one"


async def test_a_sampled_command_is_three_spans_here(autojump_clock: MockClock, town: Town) -> None:
    spans = KeptSpans()
    town.start("s1", _watched(town, spans))
    await town.join("ann")
    message = _traced(town.command("ann", "c1", Wait(2)))
    await town.offer(message)
    await town.wait_for(lambda: town.results("c1"))
    assert {span.name for span in spans.spans} == {
        "command.decide", "command.journal", "command.run"
    }  # fmt: skip
    assert {span.parent for span in spans.spans} == {message.trace}
    assert len(spans.spans) == 3
    (decide,), (run,) = spans.named("command.decide"), spans.named("command.run")
    assert decide.attributes["tessera.outcome"] == "accepted"
    assert decide.attributes["tessera.chunk"] == "0:0"
    assert run.attributes["tessera.outcome"] == "completed"


async def test_what_is_not_sampled_is_none(autojump_clock: MockClock, town: Town) -> None:
    spans = KeptSpans()
    town.start("s1", _watched(town, spans))
    await town.join("ann")
    await town.offer(_traced(town.command("ann", "c1", Wait(2)), UNSAMPLED))
    await town.wait_for(lambda: town.results("c1"))
    assert spans.spans == []


@pytest.fixture
def debug() -> Iterator[None]:
    logger = logging.getLogger("shard.way")
    logger.setLevel(logging.DEBUG)
    yield
    logger.setLevel(logging.NOTSET)


async def test_at_debug_the_log_follows_it(
    autojump_clock: MockClock, town: Town, debug: None
) -> None:
    with capture_logs() as lines:
        town.start("s1")
        await town.join("ann")
        await town.offer(_traced(town.command("ann", "my-own-id", Wait(2))))
        await town.wait_for(lambda: town.results("my-own-id"))
    told = [line for line in lines if line.get("trace_id") == "a" * 32]
    assert [(line["event"], line["outcome"]) for line in told] == [
        ("command decided", "accepted"), ("command ended", "completed")
    ]  # fmt: skip
    assert "my-own-id" not in str(lines)


def test_it_remembers_a_bounded_number() -> None:
    way = Way()
    for number in range(TRACES_MAX + 3):
        way._remember((SessionId("ses_1"), CommandId(str(number))), PARENT)
    assert len(way._running) == TRACES_MAX
