"""Deciding takes time: what is decided together is journaled for the tick that hears it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from common.commands import Say
from common.grid import ChunkId, CommandId, SessionId
from common.limits import TICK_SECONDS
from shard.metronome import last_due
from tests.shard.town import Town

CROWD = [f"agent-{n}" for n in range(12)]


async def test_a_batch_that_takes_longer_than_a_tick_is_heard_in_one(
    autojump_clock: MockClock, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(phase: int) -> int:
        autojump_clock.jump(TICK_SECONDS / 3)  # Each look at the clock comes later than the last.
        return last_due(phase)

    town.start("s1")
    for agent in CROWD:
        await town.join(agent)
    await trio.sleep(5)
    monkeypatch.setattr("shard.live.last_due", late)
    await town.offer(*(town.command(agent, f"c-{agent}", Say("hello")) for agent in CROWD))
    await town.wait_for(lambda: all(town.results(f"c-{agent}") for agent in CROWD), 600)
    monkeypatch.undo()

    journal: dict[int, list[int]] = {}
    for tick, ordinal in sorted(town.postgres.chunks[ChunkId("0:0")].journal):
        journal.setdefault(tick, []).append(ordinal)
    assert all(ordinals == list(range(len(ordinals))) for ordinals in journal.values()), journal
    assert max(map(len, journal.values())) > 1  # A batch it was.
    for agent in CROWD:
        known = town.postgres.commands[SessionId(f"ses_{agent}"), CommandId(f"c-{agent}")]
        assert known.result is not None
        assert known.ack.tick == known.result.tick

    await town.kill("s1")
    town.start("s2")
    static = await town.show("0:0")
    assert {entity.id for entity in static.entities} == set(CROWD)
    town.assert_streams_are_unbroken()
