"""A docket that goes on where another gateway's ended."""

from __future__ import annotations

import pytest

from common.commands import Say
from common.envelopes import SessionLine
from common.grid import CommandId
from gateway.agent.challenges import Asked
from gateway.agent.docket import Docket, resumed_docket
from tests.gateway.agent.builders import CHUNK, NOW_MS, SAY, a_result, a_sitting, an_ack


def test_lines_up_to_last_seq_are_known_and_not_told_again() -> None:
    docket = resumed_docket(2, [an_ack(1), a_result(2)], complete=True, running=None)
    known = docket.find(CommandId("c-1"))
    assert known is not None
    assert known.result is not None
    assert docket.take(a_result(2)) == []
    assert docket.held == 0
    assert not docket.is_busy


@pytest.mark.parametrize("ended", [False, True])
def test_what_its_shard_said_to_run_counts_unless_its_result_is_known(ended: bool) -> None:
    lines: list[SessionLine] = [an_ack(1)]
    if ended:
        lines.append(a_result(2))
    docket = resumed_docket(len(lines), lines, complete=True, running=CommandId("c-1"))
    assert docket.is_busy is not ended


def test_a_command_whose_lines_are_yet_to_come_is_busy_until_its_result() -> None:
    docket = resumed_docket(0, [], complete=True, running=CommandId("c-1"))
    docket.take(an_ack(1))
    assert docket.is_busy
    docket.take(a_result(2))
    assert not docket.is_busy


def test_the_result_of_a_say_is_to_come_though_it_keeps_nobody_busy() -> None:
    docket = Docket()
    docket.offer(
        a_sitting().offer(Asked(CommandId("c-1"), SAY, Say("hello")), CHUNK, NOW_MS), NOW_MS
    )
    docket.take(an_ack(1))
    assert docket.is_running
    assert not docket.is_busy
    docket.take(a_result(2))
    assert not docket.is_running


def test_an_incomplete_docket_doubts_unknown_ids() -> None:
    assert resumed_docket(9, [], complete=False, running=None).may_be_older(CommandId("c-1"))
    assert not resumed_docket(0, [], complete=True, running=None).may_be_older(CommandId("c-1"))


def test_what_is_missing_is_known_by_what_came_too_early() -> None:
    docket = resumed_docket(3, [], complete=True, running=None)
    assert (docket.held, docket.exists) == (0, 3)
    docket.take(an_ack(7))
    docket.take(an_ack(6))
    assert (docket.held, docket.exists) == (2, 5)
