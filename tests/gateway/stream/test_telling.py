from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from common.grid import ChunkId, Tick
from common.limits import AHEAD_SECONDS_MAX
from gateway.stream.backlog import Backlog
from gateway.stream.follow import Static
from gateway.stream.position import Mark
from gateway.stream.telling import Line, Telling
from gateway.stream.view import View
from tests.gateway.stream.scripted import HERE, THERE, Scene, a_delta, a_scene


def shown(tick: int, chunk: ChunkId = HERE) -> Static:
    return Static(chunk, 1, Tick(tick), b"{}")


def ids(lines: list[Line]) -> list[str | None]:
    return [line.id for line in lines]


def coming_back(scene: Scene, tick: int, later: Static | None = None) -> Telling:
    view = View((HERE, THERE), came_back=True, position={HERE: Mark(1, Tick(tick))})
    return Telling(view, Backlog(scene.bus), lambda _: later)


async def test_what_a_replay_brought_along_is_not_told_again() -> None:
    async with a_scene() as scene:
        for tick in (1, 2, 3):
            await scene.shard.say(tick)
        telling = coming_back(scene, 1)
        assert ids(await telling.tell(shown(2))) == ["1.2.0~0~1~0", "1.3.0~0~1~0"]
        assert await telling.tell(a_delta(3, 2)) == []
        assert ids(await telling.tell(a_delta(4, 3))) == ["1.4.0~0~1~0"]


async def test_until_its_turn_comes_a_chunk_keeps_the_place_that_the_client_brought() -> None:
    async with a_scene() as scene:
        telling = coming_back(scene, 1)
        assert ids(await telling.tell(shown(9, THERE))) == ["1.1.0~0~1~0.1~0~1~8"]


@pytest.mark.parametrize("again", [5, 9])
async def test_a_second_static_is_announced(again: int) -> None:
    async with a_scene() as scene:
        telling = Telling(View((HERE,)), Backlog(scene.bus))
        assert [line.event for line in await telling.tell(shown(5))] == ["chunk_static"]
        lines = await telling.tell(shown(again))
        assert [line.event for line in lines] == ["resync", "chunk_static"]


async def test_a_redis_that_is_away_makes_a_resync_of_a_replay() -> None:
    async with a_scene() as scene:
        telling = coming_back(scene, 1)
        scene.redis.down = True
        lines = await telling.tell(shown(5))
        assert [line.event for line in lines] == ["resync", "chunk_static"]


@pytest.mark.parametrize("later", [9, 12])
async def test_who_is_ahead_of_us_waits_until_we_have_heard_as_much(
    later: int, autojump_clock: MockClock
) -> None:
    """Redis lost the deltas that another gateway had told; the shard tells of what came after."""
    async with a_scene() as scene:
        telling = coming_back(scene, 9, shown(later))
        lines = await telling.tell(shown(8))
        assert ids(lines) == ([] if later == 9 else [None, "1.12.0~0~1~0"])
        assert await telling.tell(a_delta(9, 8)) == []


async def test_who_is_ahead_of_us_while_redis_is_away_goes_on_when_it_is_back(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        for tick in (8, 9, 10):
            await scene.shard.say(tick)
        telling = coming_back(scene, 9)
        scene.redis.down = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_comes_back, scene)
            lines = await telling.tell(shown(8))
        assert ids(lines) == ["1.10.0~0~1~0"]


async def _comes_back(scene: Scene) -> None:
    await trio.sleep(AHEAD_SECONDS_MAX / 2)
    scene.redis.down = False


@pytest.mark.parametrize(("tick", "seconds"), [(9, AHEAD_SECONDS_MAX), (9_000, 0.0)])
async def test_who_claims_to_be_ahead_is_not_believed_for_ever(
    tick: int, seconds: float, autojump_clock: MockClock
) -> None:
    async with a_scene() as scene:
        telling = coming_back(scene, tick)
        began = trio.current_time()
        lines = await telling.tell(shown(8))
        assert [line.event for line in lines] == ["resync", "chunk_static"]
        assert seconds <= trio.current_time() - began < seconds + 1
