"""A docket that goes on where another gateway's ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from common.envelopes import SessionLine
from common.grid import CommandId
from gateway.agent.docket import resumed_docket
from tests.gateway.agent.builders import MOVE, SAY, Client, a_refusal, a_result, an_ack


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


def test_an_incomplete_docket_doubts_unknown_ids() -> None:
    assert resumed_docket(9, [], complete=False, running=None).may_be_older(CommandId("c-1"))
    assert not resumed_docket(0, [], complete=True, running=None).may_be_older(CommandId("c-1"))


def test_what_is_missing_is_known_by_what_came_too_early() -> None:
    docket = resumed_docket(3, [], complete=True, running=None)
    assert (docket.held, docket.exists) == (0, 3)
    docket.take(an_ack(7))
    docket.take(an_ack(6))
    assert (docket.held, docket.exists) == (2, 5)


@pytest.mark.parametrize("command", [MOVE, SAY])
def test_a_command_is_open_from_its_offer_to_its_result(command: Mapping[str, Any]) -> None:
    client = Client()
    docket = client.exchange.docket
    settled = [docket.is_settled]
    client.offer(command=command)
    settled.append(docket.is_settled)
    client.accept(1)
    settled.append(docket.is_settled)
    client.finish(2)
    assert [*settled, docket.is_settled] == [True, False, False, True]


def test_a_command_that_is_refused_is_open_no_more() -> None:
    client = Client()
    client.offer()
    client.exchange.hear_line(a_refusal("unavailable"), client.now_ms)
    assert client.exchange.docket.is_settled


@pytest.mark.parametrize("running", [None, CommandId("c-1")])
def test_an_ack_of_before_is_open_until_its_result(running: CommandId | None) -> None:
    docket = resumed_docket(1, [an_ack(1)], complete=True, running=running)
    assert not docket.is_settled
    docket.take(a_result(2))
    assert docket.is_settled
    before: list[SessionLine] = [an_ack(1), a_result(2)]
    assert resumed_docket(2, before, complete=True, running=running).is_settled
