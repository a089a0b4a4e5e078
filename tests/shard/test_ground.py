from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio
from trio.testing import MockClock

from common.grid import ChunkId, Epoch, Tick
from common.limits import GROUND_LOOK_SECONDS
from shard.chunks import Chunks
from shard.ground import Ground
from shard.live import Live
from shard.world.codec import new_chunk
from shard.world.terrain import terrain_of

SEED = 0x6011D  # Nobody else's: what is remembered here was laid here.


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    terrain_of.cache_clear()
    yield
    terrain_of.cache_clear()


def a_chunk(id: str, *, awake: bool) -> Live:
    live = Live(new_chunk(ChunkId(id), 1, SEED, Tick(1)), Epoch(1))
    live.is_resting = not awake
    return live


async def test_who_is_awake_gets_ground_before_anybody_asks_and_who_rests_does_not(
    autojump_clock: MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        chunks = Chunks(nursery, _never)
        for n in range(3):
            chunks.add(a_chunk(f"{n}:0", awake=True))
            chunks.add(a_chunk(f"{n}:1", awake=False))
        nursery.start_soon(Ground(chunks).run)
        await trio.sleep(3 * GROUND_LOOK_SECONDS)
        assert terrain_of.cache_info().currsize == 3
        terrain_of(SEED, ChunkId("0:0"), 1)
        assert terrain_of.cache_info().misses == 3
        nursery.cancel_scope.cancel()


async def test_each_chunk_is_laid_once_and_again_only_after_a_rest(
    autojump_clock: MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        chunks = Chunks(nursery, _never)
        live = a_chunk("0:0", awake=True)
        chunks.add(live)
        nursery.start_soon(Ground(chunks).run)
        await trio.sleep(5 * GROUND_LOOK_SECONDS)
        assert terrain_of.cache_info().hits == 0
        live.is_resting = True
        await trio.sleep(2 * GROUND_LOOK_SECONDS)
        live.is_resting = False
        await trio.sleep(2 * GROUND_LOOK_SECONDS)
        assert terrain_of.cache_info().hits == 1
        nursery.cancel_scope.cancel()


async def _never(_: Live) -> None:
    raise AssertionError("nobody in it has anything to do")
