"""The end of a chunk, and how it begins anew, in a shard process over memory adapters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs
import trio
from trio.testing import MockClock

from common.adapters.memory_journal import MemoryJournal
from common.adapters.memory_shard_bus import MemoryShardBus
from common.bus import Received
from common.commands import Say
from common.envelopes import Detach
from common.frames import Position
from common.grid import AgentId, ChunkId, Epoch, SessionId, Tick
from common.journal import Fact, Retired
from common.limits import COLLECT_LOOKS, COLLECT_SECONDS
from shard.chunks import Chunks
from shard.collector import Collector
from shard.inbox import Inbox
from shard.live import Live
from shard.outbox import Outbox
from shard.world.codec import new_chunk
from shard.world.terrain import terrain_of
from tests.shard.town import Town

HERE = ChunkId("0:0")
LOOK_SECONDS = COLLECT_SECONDS / COLLECT_LOOKS
COLLECTED_SECONDS = COLLECT_SECONDS + 3 * LOOK_SECONDS


async def _leave(town: Town, agent: str = "ann", chunk: str = "0:0") -> None:
    await town.offer(Detach(SessionId(f"ses_{agent}"), AgentId(agent), ChunkId(chunk)))
    await trio.sleep(1)


async def _desert(town: Town) -> None:
    """Let ann come to 0:0 and go again."""
    await town.join("ann")
    await _leave(town)
    assert town.population() == {}


def _generation(town: Town, chunk: str = "0:0") -> int:
    return town.postgres.chunks[ChunkId(chunk)].generation


def _is_forgotten(town: Town, chunk: str = "0:0") -> bool:
    kept = town.postgres.chunks[ChunkId(chunk)]
    return kept.snapshot is None and not kept.journal


async def _watch(town: Town, *chunks: ChunkId) -> None:
    """As a gateway does that watches ``chunks``."""
    while True:
        if not town.redis.down:
            await town.gateway.watching(chunks)
        await trio.sleep(LOOK_SECONDS)


async def test_a_deserted_chunk_is_collected_and_coming_back_finds_a_new_generation(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await _desert(town)
    first = await town.show("0:0")
    await trio.sleep(COLLECT_SECONDS - LOOK_SECONDS)
    assert _generation(town) == 1
    await trio.sleep(4 * LOOK_SECONDS)
    assert (_generation(town), _is_forgotten(town)) == (2, True)
    between = await town.show("0:0")
    attached = await town.join("ann", "ses_new")
    static = await town.show("0:0")
    assert (first.generation, between.generation, static.generation) == (1, 2, 2)
    assert first.tick < between.tick < static.tick
    assert static.terrain == between.terrain != first.terrain
    assert attached.chunk == "0:0"


async def test_ticks_of_a_chunk_never_go_back_over_generations(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    for generation in range(1, 4):
        await _desert(town)
        assert (await town.show("0:0")).generation == generation
        await trio.sleep(COLLECTED_SECONDS)
        if generation == 2:
            await town.kill("s1")
            town.start("s2")
    deltas = town.deltas[HERE]
    ticks = [delta.tick for delta in deltas]
    assert ticks == sorted(set(ticks))
    births, ends = deltas[2::2], deltas[1::2]  # One comes, one goes, in each generation.
    assert len(births) == 2
    for birth, end in zip(births, ends, strict=False):
        assert birth.prev_tick > end.tick, "who knew the old generation must see a gap"


async def test_no_gateway_takes_the_next_generation_for_the_one_it_knew(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await _desert(town)
    known = town.deltas[HERE][-1].tick
    assert await town.gateway.deltas_after(HERE, known) == []
    await trio.sleep(COLLECTED_SECONDS)
    between = await town.show("0:0")
    assert await town.gateway.deltas_after(HERE, known) is None
    assert await town.gateway.deltas_after(HERE, between.tick) == []
    await town.join("bob")
    after = await town.gateway.deltas_after(HERE, between.tick)
    assert [delta.prev_tick for delta in after or ()] == [between.tick]
    assert await town.gateway.deltas_after(HERE, known) is None


async def test_who_comes_back_to_a_new_generation_stands_near_to_where_it_stood(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    old, new = (terrain_of(town.postgres.world.seed, HERE, n) for n in (1, 2))
    wall = next(spot for spot in old.floor() if not new.is_floor(*spot))
    await town.join("ann", at=Position(*wall))
    await _leave(town)
    await trio.sleep(COLLECTED_SECONDS)
    at = (await town.join("ann", "ses_new")).position
    assert new.is_floor(at.x, at.y)
    assert abs(at.x - wall[0]) + abs(at.y - wall[1]) < 20


async def test_a_chunk_with_somebody_in_it_is_not_collected(
    autojump_clock: MockClock, town: Town, nursery: trio.Nursery
) -> None:
    nursery.start_soon(_stay_present, town)
    town.start("s1")
    await town.join("ann")
    await trio.sleep(3 * COLLECT_SECONDS)
    assert _generation(town) == 1
    assert town.population() == {"ann": ["0:0"]}


async def _stay_present(town: Town) -> None:
    while True:
        await town.stay("ann")
        await trio.sleep(5)


async def test_a_watched_chunk_is_not_collected_and_soon_after_it_is(
    autojump_clock: MockClock, town: Town, nursery: trio.Nursery
) -> None:
    town.start("s1")
    await _desert(town)
    async with trio.open_nursery() as watching:
        watching.start_soon(_watch, town, HERE)
        await trio.sleep(5 * COLLECT_SECONDS)
        assert _generation(town) == 1
        watching.cancel_scope.cancel()
    await trio.sleep(COLLECT_SECONDS - LOOK_SECONDS)
    assert _generation(town) == 1
    await trio.sleep(LOOK_SECONDS + 2 * LOOK_SECONDS)
    assert _generation(town) == 2


async def test_who_has_just_begun_to_watch_is_heard_before_its_gateway_says_so(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await _desert(town)
    for _ in range(6):
        await trio.sleep(COLLECT_SECONDS / 2)
        assert (await town.show("0:0")).generation == 1


async def test_nobody_is_taken_for_not_watching_because_redis_forgot(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await _desert(town)
    await town.gateway.watching([HERE])
    await trio.sleep(COLLECT_SECONDS - 2 * LOOK_SECONDS)
    town.redis.watched.clear()
    await trio.sleep(COLLECT_SECONDS - 2 * LOOK_SECONDS)
    assert _generation(town) == 1


async def test_nobody_is_taken_for_not_watching_because_redis_was_away(
    autojump_clock: MockClock, town: Town, nursery: trio.Nursery
) -> None:
    nursery.start_soon(_watch, town, HERE)
    town.start("s1")
    await _desert(town)
    for _ in range(3):
        await trio.sleep(40)
        town.redis.down = True
        await trio.sleep(COLLECT_SECONDS)
        town.redis.down = False
    await trio.sleep(COLLECT_SECONDS)
    assert _generation(town) == 1


async def test_a_chunk_left_empty_by_a_process_that_died_is_collected_by_the_next(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await _desert(town)
    await town.stop("s1")
    assert not town.postgres.chunks[HERE].is_occupied
    town.start("s2")
    await trio.sleep(COLLECTED_SECONDS + COLLECT_SECONDS)
    assert (_generation(town), _is_forgotten(town)) == (2, True)


# At the moment of collection


@attrs.define(eq=False, slots=False)
class Gate:
    is_open: trio.Event = attrs.field(factory=trio.Event)
    reached: trio.Event = attrs.field(factory=trio.Event)

    async def wait(self) -> None:
        self.reached.set()
        await self.is_open.wait()


class SlowToCollect(MemoryJournal):
    """Collects when its gate is opened."""

    def __init__(self, town: Town) -> None:
        super().__init__(town.postgres)
        self.gate = Gate()

    async def collect(self, retired: Sequence[Retired]) -> frozenset[ChunkId]:
        await self.gate.wait()
        return await super().collect(retired)


async def _collecting(town: Town) -> Gate:
    """Start a shard, and stop it in the middle of collecting 0:0."""
    journal = SlowToCollect(town)
    town.start("s1", attrs.evolve(town.outside(), journal=journal))
    await town.show("0:0")  # Before it ever lived: this must not be remembered.
    await _desert(town)
    with trio.fail_after(COLLECTED_SECONDS):
        await journal.gate.reached.wait()
    return journal.gate


async def test_who_comes_or_looks_while_a_chunk_is_collected_waits_for_the_new_one(
    autojump_clock: MockClock, town: Town, nursery: trio.Nursery
) -> None:
    gate = await _collecting(town)
    shown = []

    async def look() -> None:
        shown.append(await town.show("0:0"))

    nursery.start_soon(look)
    await trio.sleep(2)
    assert not shown
    gate.is_open.set()
    await trio.sleep(1)
    await town.join("bob")
    static = await town.show("0:0")
    assert [one.generation for one in (*shown, static)] == [2, 2]
    assert [entity.id for entity in static.entities] == ["bob"]


async def test_a_process_that_dies_while_it_collects_leaves_one_generation_or_the_other(
    autojump_clock: MockClock, town: Town
) -> None:
    await _collecting(town)
    await town.kill("s1")
    town.start("s2")
    await trio.sleep(5)
    assert (await town.show("0:0")).generation == 1
    await trio.sleep(COLLECTED_SECONDS + COLLECT_SECONDS)
    assert _generation(town) == 2


async def test_a_chunk_that_another_has_taken_meanwhile_is_left_to_it(
    autojump_clock: MockClock, town: Town
) -> None:
    gate = await _collecting(town)
    await MemoryJournal(town.postgres).take([HERE], "thief")
    gate.is_open.set()
    await trio.sleep(1)
    assert _generation(town) == 1
    assert town.postgres.chunks[HERE].holder == "s1/1", (
        "it is ours by the slot, so it is taken back"
    )
    await town.join("bob")
    assert town.population() == {"bob": ["0:0"]}


async def test_what_was_said_of_a_chunk_is_remembered_before_it_is_forgotten(
    autojump_clock: MockClock, town: Town
) -> None:
    class Slow(MemoryJournal):
        gate = trio.Event()

        async def record(self, facts: Sequence[Fact]) -> frozenset[ChunkId]:
            await self.gate.wait()
            return await super().record(facts)

    slow = Slow(town.postgres)
    town.start("s1", attrs.evolve(town.outside(), journal=slow))
    await town.join("ann")
    await town.offer(town.command("ann", "c1", Say("last words")))
    await town.wait_for(lambda: town.results("c1"))
    await _leave(town)
    await trio.sleep(COLLECTED_SECONDS)
    assert _generation(town) == 1
    slow.gate.set()
    await trio.sleep(1)
    assert _generation(town) == 2
    ((_, kept),) = town.postgres.commands.items()
    assert kept.result is not None
    assert town.postgres.agents[AgentId("ann")].present is False


async def test_a_chunk_that_stirs_while_redis_is_asked_is_not_collected(
    autojump_clock: MockClock, town: Town
) -> None:
    class Slow(MemoryShardBus):
        gate = Gate()

        async def unwatched_ms(self, chunks: Iterable[ChunkId]) -> dict[ChunkId, int]:
            answer = dict(await super().unwatched_ms(chunks))
            if max(answer.values(), default=0) >= COLLECT_SECONDS * 1000:
                await self.gate.wait()
            return answer

    slow = Slow(town.redis)
    town.start("s1", attrs.evolve(town.outside(), bus=slow))
    await _desert(town)
    with trio.fail_after(COLLECTED_SECONDS):
        await slow.gate.reached.wait()
    await town.join("bob")
    slow.gate.is_open.set()
    await trio.sleep(30)
    assert _generation(town) == 1
    assert town.population() == {"bob": ["0:0"]}
    assert (await town.show("0:0")).tick > Tick(0)


async def test_a_chunk_for_which_something_is_held_is_not_collected(
    autojump_clock: MockClock, town: Town, nursery: trio.Nursery
) -> None:
    await trio.lowlevel.checkpoint()
    chunks, inbox, outbox = Chunks(nursery, _never), Inbox(), Outbox(10)
    chunks.add(Live(new_chunk(HERE, 1, 1, Tick(0)), Epoch(1)))
    inbox.hold(HERE, Received("1", Detach(SessionId("ses_ann"), AgentId("ann"), HERE)))
    collector = Collector(
        MemoryShardBus(town.redis), chunks, inbox, outbox, lambda _: None, COLLECT_SECONDS
    )
    nursery.start_soon(collector.run)
    await trio.sleep(2 * COLLECT_SECONDS)
    assert chunks.peek(HERE) is not None
    inbox.release(HERE)
    await trio.sleep(COLLECTED_SECONDS + COLLECT_SECONDS)
    assert chunks.peek(HERE) is None


async def _never(live: Live) -> None:
    raise AssertionError(f"{live.id} has nothing to do")
