from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import attrs
import pytest
import trio
from trio.testing import MockClock

from common.frames import Position, Result
from common.grid import AgentId, ChunkId, CommandId, Tick
from ops.chaos.findings import Findings
from ops.chaos.ledger import Ledger
from ops.chaos.player import Player
from ops.client import Agent, Failed, Rejected

RESULT = Result(CommandId("c"), 2, "completed", Tick(9), ChunkId("0:0"), Position(1, 2))


@attrs.define(eq=False)
class Idler(Agent):
    """Whose commands end at ``ends``, each in turn; it is asked for no others."""

    ends: list[Exception | None] = attrs.field(factory=list)

    async def wait(self, ticks: int) -> Result:
        await trio.sleep(1)
        if (error := self.ends.pop(0)) is not None:
            raise error
        return RESULT


@pytest.mark.parametrize("last", [None, Failed("cancelled")])
async def test_it_is_done_once_a_command_was_carried_out_after_all_others(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, last: Exception | None
) -> None:
    idler = Idler(
        AgentId("agt_1"), "ada", ends=[Rejected("unavailable"), Rejected("in_flight"), last]
    )

    @asynccontextmanager
    async def connect(urls: Sequence[str], name: str, tap: Ledger) -> AsyncIterator[Agent]:
        yield idler

    monkeypatch.setattr("ops.chaos.player.connect", connect)
    findings = Findings()
    ledger = Ledger("ada", findings, trio.current_time)
    player = Player(ledger, findings, random.Random(1), 1.0)
    stop, leave = trio.Event(), trio.Event()
    stop.set()
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(player.run, [], stop, leave))
        await trio.sleep(3)
        assert not player.is_done
        await trio.sleep(2)
        assert player.is_done
        assert idler.ends == []
        leave.set()
    assert findings.violations == []
