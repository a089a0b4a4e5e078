"""An agent that turns back at a border before its old side knows that it has gone."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest
import trio
from trio.testing import MockClock

from common.adapters.memory_journal import MemoryJournal
from common.commands import MoveTo
from common.envelopes import CrossingAnswered
from common.errors import Unavailable
from common.frames import Position
from common.grid import ChunkId
from common.journal import Committed, Conflict, Row
from shard.outside import Outside
from shard.world.codec import decode_input
from shard.world.inputs import Settle
from shard.world.terrain import terrain_of
from tests.shard.test_crossing import Lossy
from tests.shard.town import Town


class Refusing(MemoryJournal):
    """Is away just when the first departure is to be settled."""

    refused = False

    async def commit(self, rows: Sequence[Row]) -> Committed | Conflict:
        if not self.refused and any(_settles(row) for row in rows):
            self.refused = True
            raise Unavailable("one commit refused")
        return await super().commit(rows)


def _settles(row: Row) -> bool:
    return bool(row.body) and isinstance(decode_input(row.body), Settle)


def losing_an_answer(town: Town) -> Outside:
    lost: list[object] = []

    def is_lost(message: object) -> bool:
        if not isinstance(message, CrossingAnswered) or lost:
            return False
        lost.append(message)
        return True

    return attrs.evolve(town.outside(), bus=Lossy(town, is_lost))


def refusing_to_settle(town: Town) -> Outside:
    return attrs.evolve(town.outside(), journal=Refusing(town.postgres))


@pytest.mark.parametrize(
    ("shard_count", "trouble"),
    [(1, refusing_to_settle), (2, refusing_to_settle), (2, losing_an_answer)],
)
async def test_who_turns_back_at_once_waits_until_its_way_there_is_settled(
    autojump_clock: MockClock, town: Town, shard_count: int, trouble: object
) -> None:
    assert callable(trouble)
    outside = trouble(town)
    for number in range(shard_count):
        town.start(f"s{number}", outside)
        await trio.sleep(0.1)
    x, y = terrain_of(7, ChunkId("0:0"), 1).exits["E"][3]
    await town.join("ann", at=Position(x, y))
    await town.offer(town.command("ann", "c1", MoveTo(x + 1, y)))
    await town.wait_for(lambda: town.results("c1"), 60)
    while not any(ack.code is None for ack in town.acks("c2")):  # Once it is refused with the rest.
        await town.offer(town.command("ann", "c2", MoveTo(x, y), chunk="1:0"))
        await trio.sleep(0.1)
    await town.wait_for(lambda: town.results("c2"), 60)
    await trio.sleep(5)
    assert not any(process.ended.is_set() for process in town.processes.values())
    (result,) = set(town.results("c2"))
    assert (result.position, result.reason) == (Position(x, y), None)
    assert town.population() == {"ann": ["0:0"]}
    town.assert_streams_are_unbroken()
    town.assert_answered_once("ann", "c1")
    assert len({ack for ack in town.acks("c2") if ack.code is None}) == 1
