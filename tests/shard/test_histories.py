"""What shards keep of a chunk is what happened in it: it can be made again, digest by digest."""

from __future__ import annotations

import trio
import trio.testing

from common.adapters.memory_history import read_history
from common.envelopes import Detach
from common.grid import AgentId, ChunkId, SessionId
from ops.rebuild import Rebuilding
from shard.world.codec import encode_chunk
from tests.shard.town import Town

AGENTS = [f"a{number}" for number in range(8)]


async def walk_about(town: Town, trip: int) -> None:
    for number, agent in enumerate(AGENTS):
        goal = town.goal("0:0", 97 * trip + 31 * number)
        await town.offer(town.command(agent, f"{agent}-{trip}", goal))
    await trio.sleep(11)


async def test_a_chunk_can_be_made_again_also_when_its_shards_were_killed(
    town: Town, autojump_clock: trio.testing.MockClock
) -> None:
    town.start("shard-0")
    for agent in AGENTS:
        await town.join(agent)
    for life in range(3):
        for trip in range(4):
            await walk_about(town, 4 * life + trip)
        if life < 2:
            await town.kill(f"shard-{life}")
            await trio.sleep(4)
            town.start(f"shard-{life + 1}")
            await trio.sleep(4)
    await town.stop("shard-2")
    history = await read_history(town.postgres, ChunkId("0:0"))
    assert history is not None
    rebuilding = Rebuilding(history, town.postgres.world.seed)
    chunks = list(rebuilding.ticks(history.last))
    assert rebuilding.differences == []
    assert len(history.snapshots) > 3
    assert encode_chunk(chunks[-1]) == history.snapshots[-1].state
    # Each tick that heard something has the digest of the one before it.
    heard = {row.tick for row in history.rows}
    assert {row.tick for row in history.rows if row.digest is not None} == heard
    assert len(heard) > 10


async def test_a_chunk_that_was_collected_and_came_back_can_be_made_again(
    town: Town, autojump_clock: trio.testing.MockClock
) -> None:
    here = ChunkId("0:0")
    town.collect_seconds = 20.0
    town.start("shard-0")
    for generation in (1, 2):
        for agent in AGENTS:
            await town.join(agent)
        await walk_about(town, generation)
        for agent in AGENTS:
            await town.offer(Detach(SessionId(f"ses_{agent}"), AgentId(agent), here))
        await trio.sleep(30)
    bare = await read_history(town.postgres, here)
    assert bare is not None
    assert (bare.generation, bare.snapshots, bare.rows) == (3, (), ())
    await town.join("a0")
    await walk_about(town, 3)
    for saved in (False, True):
        if saved:
            await town.stop("shard-0")
        history = await read_history(town.postgres, here)
        assert history is not None
        assert bool(history.snapshots) == saved
        rebuilding = Rebuilding(history, town.postgres.world.seed)
        chunks = list(rebuilding.ticks(history.last))
        assert rebuilding.differences == []
        assert saved or rebuilding.compared > 0
        assert {chunk.generation for chunk in chunks} == {3}
        assert list(chunks[-1].agents) == ["a0"]
    (empty,) = Rebuilding(bare, town.postgres.world.seed).ticks(bare.last)
    assert (empty.generation, empty.tick, empty.agents) == (3, bare.tick, {})
