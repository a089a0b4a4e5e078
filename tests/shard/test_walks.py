"""A walk of four chunks, chunk by chunk, and what a chunk at work leaves in the journal."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from common.commands import Say
from common.events import Entered
from common.grid import ChunkId, chunk_distance
from common.limits import PRESENCE_BEAT_SECONDS, SNAPSHOT_TICKS, TICK_HZ
from tests.shard.town import Town

LATE_TICKS = 2 * TICK_HZ  # What is due is looked for each second, and written by then.


@pytest.fixture
def shard_count() -> int:
    return 2


async def begin(town: Town) -> None:
    """Ann comes, and her gateway says again and again that she is there."""
    town.start("one")
    town.start("other")
    await town.join("ann")
    town.nursery.start_soon(_stay, town)


async def _stay(town: Town) -> None:
    while True:
        await town.stay("ann")
        await trio.sleep(PRESENCE_BEAT_SECONDS)


@pytest.mark.parametrize("goal", ["4:0", "-4:4", "1:-4"])
async def test_a_goal_four_chunks_away_is_walked_to_chunk_by_chunk(
    autojump_clock: MockClock, town: Town, goal: str
) -> None:
    await begin(town)
    where = town.goal(goal)
    await town.offer(town.command("ann", "c1", where))

    await town.wait_for(lambda: town.results("c1"), 600)
    await trio.sleep(5)

    (result,) = set(town.results("c1"))
    assert (result.chunk, result.reason) == (goal, None)
    assert (result.position.x, result.position.y) == (where.x, where.y)
    way = _way(town, "ann")
    assert way[-1] == goal
    assert all(chunk_distance(one, then) == 1 for one, then in pairwise(way))
    assert {town.slot(chunk) for chunk in way} == {0, 1}
    assert town.population() == {"ann": [goal]}
    town.assert_answered_once("ann", "c1")
    town.assert_streams_are_unbroken()


def _way(town: Town, agent: str) -> list[ChunkId]:
    """The chunks that it was in, first to last; none of them twice."""
    then = {
        event.from_: chunk
        for chunk, deltas in town.deltas.items()
        for delta in deltas
        for event in delta.events
        if isinstance(event, Entered) and event.id == agent and event.from_ is not None
    }
    way = [ChunkId("0:0")]
    while way[-1] in then:
        way.append(then.pop(way[-1]))
    assert not then, f"{agent} strayed: {way}, {then}"
    return way


async def test_the_journal_of_a_chunk_at_work_never_goes_back_beyond_a_bound(
    autojump_clock: MockClock, town: Town
) -> None:
    await begin(town)
    chunk, lengths = town.postgres.chunks[ChunkId("0:0")], []
    for number in range(200):
        await town.offer(town.command("ann", f"c{number}", Say("still here")))
        await town.wait_for(partial(town.results, f"c{number}"))
        ticks = [row.tick for row in chunk.after]
        assert max(ticks, default=0) - min(ticks, default=0) <= SNAPSHOT_TICKS + LATE_TICKS
        lengths.append(len(ticks))
        await trio.sleep(0.5)
    assert max(lengths) > 20  # It was at work,
    assert sum(later < earlier for earlier, later in pairwise(lengths)) >= 2  # and saved.
