"""What a server could say wrongly of a command, and that the ledger notices."""

from __future__ import annotations

import attrs
import pytest

from common.frames import (
    Ack,
    CommandRequest,
    OfferedChallenge,
    Position,
    Result,
    ServerFrame,
    SessionLimits,
    SessionReady,
)
from common.grid import AgentId, ChunkId, CommandId, SessionId, Tick
from ops.chaos.findings import Findings
from ops.chaos.ledger import ONCE, SEQS, SESSIONS, Ledger

C1, C2 = CommandId("c-1"), CommandId("c-2")
ACK = Ack(C1, "accepted", tick=Tick(7), seq=1)
RESULT = Result(C1, 2, "completed", Tick(9), ChunkId("0:0"), Position(1, 2))
REJECTED = Ack(C1, "rejected", code="unavailable")


def a_ledger(*sent: CommandId) -> Ledger:
    """In a session, in which ``sent`` were sent."""
    ledger = Ledger("ada", Findings(), now=lambda: 1.0)
    ledger.heard(a_greeting())
    for id in sent:
        ledger.sent(CommandRequest(id, {"name": "wait", "ticks": 1}))
    return ledger


def a_greeting(session: str = "ses_1", *, resumed: bool = False) -> SessionReady:
    return SessionReady(
        protocol=1,
        session_id=SessionId(session),
        agent_id=AgentId("agt_1"),
        resume_token="",
        resumed=resumed,
        tick_hz=5,
        chunk=ChunkId("0:0"),
        position=Position(0, 0),
        limits=SessionLimits(0, 0, 2000),
        challenge=OfferedChallenge("", ""),
    )


def found(ledger: Ledger) -> list[str]:
    return [violation.promise for violation in ledger.findings.violations]


def test_an_ack_and_a_result_are_as_they_should_be() -> None:
    ledger = a_ledger(C1, C2)
    for frame in (ACK, attrs.evolve(ACK, id=C2, seq=2), attrs.evolve(RESULT, seq=3)):
        ledger.heard(frame)

    assert found(ledger) == []
    assert [id for id, _ in ledger.unfinished()] == [C2]


def test_what_was_sent_again_may_be_answered_again() -> None:
    ledger = a_ledger(C1)
    ledger.heard(ACK)
    ledger.heard(a_greeting(resumed=True))
    ledger.sent(CommandRequest(C1, {}))
    for frame in (RESULT, ACK, RESULT):
        ledger.heard(frame)

    assert found(ledger) == []
    assert ledger.last_seq == 2


def test_what_was_rejected_may_be_sent_again_and_accepted_after_a_stale_challenge() -> None:
    ledger = a_ledger(C1)
    ledger.heard(Ack(C1, "rejected", code="challenge_expired"))
    ledger.heard(ACK)

    assert found(ledger) == []


@pytest.mark.parametrize(
    ("frames", "promise"),
    [
        ([ACK, ACK], ONCE),
        ([ACK, RESULT, RESULT], ONCE),
        ([ACK, attrs.evolve(ACK, seq=2)], ONCE),
        ([ACK, RESULT, attrs.evolve(RESULT, tick=Tick(10))], ONCE),
        ([ACK, REJECTED], ONCE),
        ([REJECTED, ACK], ONCE),
        ([attrs.evolve(RESULT, seq=1)], ONCE),
        ([attrs.evolve(ACK, id=C2)], ONCE),
        ([attrs.evolve(RESULT, id=C2)], ONCE),
        ([attrs.evolve(ACK, seq=2)], SEQS),
        ([ACK, attrs.evolve(RESULT, seq=3)], SEQS),
        ([ACK, attrs.evolve(RESULT, seq=1)], SEQS),
        ([a_greeting("ses_2")], SESSIONS),
    ],
)
def test_a_lie_is_found(frames: list[ServerFrame], promise: str) -> None:
    ledger = a_ledger(C1)
    for frame in frames:
        ledger.heard(frame)

    assert promise in found(ledger)


def test_who_waits_for_a_recovery_hears_when_the_command_was_sent() -> None:
    ends: list[float] = []
    ledger = a_ledger(C1)
    ledger.ended = ends.append
    for frame in (ACK, RESULT):
        ledger.heard(frame)

    assert ends == [1.0]
