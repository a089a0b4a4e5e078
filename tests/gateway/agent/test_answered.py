"""The memory of answers: exact for the newest, honest about the rest, and small."""

from __future__ import annotations

from common.grid import CommandId
from common.journal import Known
from common.limits import ANSWERS_KEPT_MAX
from gateway.agent.answered import Answered
from tests.gateway.agent.builders import a_result, an_ack


def a_memory(count: int) -> Answered:
    memory = Answered()
    for number in range(count):
        memory.accepted(an_ack(2 * number + 1, f"c-{number}"))
        memory.ended(a_result(2 * number + 2, f"c-{number}"))
    return memory


def test_the_newest_answers_are_at_hand_and_older_ones_are_to_be_asked_for() -> None:
    memory = a_memory(ANSWERS_KEPT_MAX + 10)
    assert memory.find(CommandId("c-10")) is not None
    assert memory.find(CommandId("c-9")) is None
    assert all(memory.may_be_older(CommandId(f"c-{number}")) for number in range(10))


def test_a_new_id_is_hardly_ever_taken_for_an_old_one() -> None:
    memory = a_memory(6_000)
    doubted = sum(memory.may_be_older(CommandId(f"new-{number}")) for number in range(2_000))
    assert doubted < 40, "more than one in fifty"


def test_a_short_session_never_asks() -> None:
    assert not a_memory(ANSWERS_KEPT_MAX).may_be_older(CommandId("new"))


def test_an_incomplete_memory_asks_for_every_id_that_it_does_not_have() -> None:
    assert Answered(complete=False).may_be_older(CommandId("new"))


def test_what_was_asked_for_is_kept_as_the_newest() -> None:
    memory = a_memory(ANSWERS_KEPT_MAX)
    memory.recall(Known(an_ack(1, "c-0"), a_result(2, "c-0")))
    memory.accepted(an_ack(999, "c-new"))
    assert memory.find(CommandId("c-0")) is not None
    assert memory.find(CommandId("c-1")) is None


def test_a_result_of_an_answer_that_was_let_go_is_passed_over() -> None:
    memory = a_memory(1)
    memory.ended(a_result(4, "unknown"))
    assert memory.find(CommandId("unknown")) is None
