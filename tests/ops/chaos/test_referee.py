"""What PostgreSQL kept, held against what an agent was told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from common.events import Entered, Event, Said
from common.frames import Ack, ChunkDelta, ChunkStatic, CommandRequest, Position, Result
from common.grid import AgentId, ChunkId, CommandId, SessionId, Tick
from ops.chaos.chronicle import EFFECTS, Chronicle
from ops.chaos.cluster import Cluster, Size
from ops.chaos.findings import Findings
from ops.chaos.ledger import ONCE, SEQS, Ledger
from ops.chaos.record import Row
from ops.chaos.referee import Referee
from tests.ops.chaos.test_ledger import a_greeting

HOME, ADA, SESSION = ChunkId("0:0"), AgentId("agt_1"), SessionId("ses_1")
C1, C2 = CommandId("c-1"), CommandId("c-2")
WALK, SAY = {"name": "move_to", "x": 1, "y": 2}, {"name": "say", "text": "hello"}
ROW = Row(1, 7, 2, 9, HOME, 1, 2, None)


def a_story(command: dict[str, Any], *, is_over: bool = True) -> Ledger:
    """Of an agent who asked for ``command``."""
    findings = Findings()
    ledger = Ledger("ada", findings, now=lambda: 1.0)
    ledger.heard(a_greeting())
    ledger.sent(CommandRequest(C1, command))
    ledger.heard(Ack(C1, "accepted", tick=Tick(7), seq=1))
    if is_over:
        ledger.heard(Result(C1, 2, "completed", Tick(9), HOME, Position(1, 2)))
    return ledger


def a_referee(ledger: Ledger, *events: Event, gap: int = 0) -> Referee:
    """Who saw ``events`` in tick 9, and may have missed something in a ``gap`` before it."""
    chronicle = Chronicle(ledger.findings, now=lambda: 1.0)
    chronicle.show(ChunkStatic(HOME, 1, Tick(1), 50, [], []))
    chronicle.note(ChunkDelta(HOME, Tick(8 - gap), Tick(0), [Entered(ADA, "agent", 1, 2)]))
    chronicle.note(ChunkDelta(HOME, Tick(9), Tick(8), list(events)))
    return Referee(Cluster(Size(), Path(), 0), [], [], chronicle, ledger.findings)


def found(ledger: Ledger, rows: dict[CommandId, Row], *events: Event) -> set[str]:
    """What is found when ``events`` were seen in tick 9."""
    a_referee(ledger, *events).compare(ledger, {SESSION: rows})
    return {violation.promise for violation in ledger.findings.violations}


def test_a_walk_and_a_saying_as_they_should_be() -> None:
    assert found(a_story(WALK), {C1: ROW}) == set()
    assert found(a_story(SAY), {C1: ROW}, Said(ADA, "hello")) == set()


@pytest.mark.parametrize(
    ("rows", "promise"),
    [
        ({}, ONCE),
        ({C1: attrs.evolve(ROW, seq=3)}, SEQS),
        ({C1: attrs.evolve(ROW, tick=8)}, ONCE),
        ({C1: attrs.evolve(ROW, result_reason="blocked")}, ONCE),
        ({C1: ROW, C2: attrs.evolve(ROW, seq=3, result_seq=4)}, ONCE),
        ({C1: ROW, C2: ROW}, SEQS),
        ({C1: attrs.evolve(ROW, result_x=5)}, EFFECTS),
    ],
)
def test_a_database_that_says_otherwise_is_found(rows: dict[CommandId, Row], promise: str) -> None:
    assert promise in found(a_story(WALK), rows)


def test_a_result_that_was_not_heard_is_found() -> None:
    assert ONCE in found(a_story(WALK, is_over=False), {C1: ROW})


def test_a_saying_that_nobody_heard_is_found() -> None:
    assert found(a_story(SAY), {C1: ROW}) == {EFFECTS}


def test_a_saying_that_was_heard_and_not_done_is_found() -> None:
    blocked = attrs.evolve(ROW, result_reason="cancelled")

    assert EFFECTS in found(a_story(SAY), {C1: blocked}, Said(ADA, "hello"))


def test_an_agent_that_was_seen_elsewhere_is_found() -> None:
    assert EFFECTS in found(a_story(WALK), {C1: ROW}, Entered(ADA, "agent", 7, 7))


@pytest.mark.parametrize(
    ("command", "gap", "events", "held"),
    [
        (WALK, 0, [], 1),
        (WALK, 1, [], 0),
        (SAY, 0, [Said(ADA, "hello")], 1),
        (SAY, 1, [Said(ADA, "hello")], 1),  # It was heard, so it can be wrong.
        (SAY, 1, [], 0),
    ],
)
def test_it_counts_what_it_could_hold_against_what_was_seen(
    command: dict[str, Any], gap: int, events: list[Event], held: int
) -> None:
    ledger = a_story(command)
    referee = a_referee(ledger, *events, gap=gap)
    referee.compare(ledger, {SESSION: {C1: ROW}})

    assert ledger.findings.violations == []
    assert (referee.held.seen, referee.held.results) == (held, 1)
