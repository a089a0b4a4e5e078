from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from common.challenge import Claim, is_signed
from common.commands import MoveTo, Wait
from common.frames import (
    Ack,
    Answer,
    Challenge,
    CommandRequest,
    OfferedChallenge,
    Position,
    Result,
)
from common.grid import AgentId, ChunkId, CommandId, SessionId, Tick
from ops.client.commanding import Commanding

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SOON = "2026-01-01T00:00:20.000Z"
SECRET = bytes(32)


def a_commanding() -> Commanding:
    return Commanding(AgentId("agt_1"), SessionId("ses_1"), SECRET, now=lambda: NOW)


def quiet() -> None:
    return None


def test_without_a_challenge_it_asks_for_one_and_answers_it() -> None:
    commanding = a_commanding()
    pending, request = commanding.begin(Wait(1), quiet)
    assert request == CommandRequest(pending.id, {"ticks": 1, "name": "wait"})
    answer = commanding.challenged(Challenge(pending.id, "nonce", SOON))
    assert isinstance(answer, Answer)
    claim = Claim(AgentId("agt_1"), SessionId("ses_1"), pending.id, pending.command, "nonce", SOON)
    assert is_signed(SECRET, claim, answer.signature)


def test_an_offered_challenge_is_used_once() -> None:
    commanding = a_commanding()
    commanding.reconnected(OfferedChallenge("nonce", SOON))
    _, first = commanding.begin(MoveTo(1, 2), quiet)
    _, second = commanding.begin(MoveTo(1, 2), quiet)
    assert isinstance(first, CommandRequest)
    assert first.answer is not None
    assert isinstance(second, CommandRequest)
    assert second.answer is None


def test_a_challenge_near_its_end_is_not_used() -> None:
    commanding = a_commanding()
    commanding.now = lambda: NOW + timedelta(seconds=19.5)
    commanding.reconnected(OfferedChallenge("nonce", SOON))
    _, request = commanding.begin(Wait(1), quiet)
    assert isinstance(request, CommandRequest)
    assert request.answer is None


def test_a_stale_challenge_is_asked_for_anew_with_the_same_id_but_not_for_ever() -> None:
    commanding = a_commanding()
    pending, _ = commanding.begin(Wait(1), quiet)
    stale = Ack(pending.id, "rejected", code="challenge_expired")
    for _ in range(3):
        assert commanding.acked(stale) == CommandRequest(pending.id, pending.command)
    assert commanding.acked(stale) is None
    assert pending.ack == stale


def test_after_a_reconnect_only_what_was_not_acked_is_sent_again() -> None:
    commanding = a_commanding()
    acked, _ = commanding.begin(Wait(1), quiet)
    commanding.acked(Ack(acked.id, "accepted", tick=Tick(1), seq=1))
    lost, _ = commanding.begin(Wait(2), quiet)
    again = commanding.reconnected(OfferedChallenge("nonce", SOON))
    assert [frame.id for frame in again] == [lost.id]


def test_whoever_waits_is_told_of_the_ack_and_of_the_end() -> None:
    told = []
    commanding = a_commanding()
    pending, _ = commanding.begin(Wait(1), lambda: told.append(1))
    commanding.acked(Ack(pending.id, "accepted", tick=Tick(1), seq=1))
    commanding.ended(Result(pending.id, 2, "completed", Tick(2), ChunkId("0:0"), Position(1, 1)))
    assert len(told) == 2
    assert commanding.last_seq == 2


def test_a_challenge_for_a_forgotten_command_is_not_answered() -> None:
    commanding = a_commanding()
    pending, _ = commanding.begin(Wait(1), quiet)
    commanding.forget(pending.id)
    assert commanding.challenged(Challenge(pending.id, "nonce", SOON)) is None


@pytest.mark.parametrize("id", ["c-1", "nobody's"])
def test_a_result_of_an_unknown_command_only_moves_the_sequence(id: str) -> None:
    commanding = a_commanding()
    commanding.ended(Result(CommandId(id), 7, "completed", Tick(2), ChunkId("0:0"), Position(1, 1)))
    assert commanding.last_seq == 7
