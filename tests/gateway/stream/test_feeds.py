"""Feeds over the memory adapters, with a scripted shard; time is trio's, and costs none."""

from __future__ import annotations

import json

import trio
from trio.testing import MockClock

from common.adapters.memory_shard_bus import MemoryShardBus
from common.frames import Position
from common.grid import AgentId
from common.limits import (
    COLLECT_LOOKS,
    COLLECT_SECONDS,
    FEED_LINGER_SECONDS,
    FEED_PENDING_MAX,
    SHOW_SECONDS,
    WATCH_LAPSED_LOOKS,
)
from gateway.stream.feeds import FeedDelta, Static
from tests.gateway.stream.scripted import HERE, THERE, Ear, a_delta, a_scene, arrival, soon, step

WATCH_SECONDS = COLLECT_SECONDS / COLLECT_LOOKS


async def test_a_listener_hears_the_static_and_then_every_delta_in_order() -> None:
    async with a_scene() as scene:
        ear = Ear()
        scene.feeds.listen(HERE, ear)
        await soon()
        await scene.shard.say(3, arrival())
        await scene.shard.say(7, step())
        await soon()
        assert ear.ticks == ["static 0", "3", "7"]


async def test_deltas_keep_the_bytes_of_the_shard_for_every_listener() -> None:
    async with a_scene() as scene:
        one, other = Ear(), Ear()
        scene.feeds.listen(HERE, one)
        scene.feeds.listen(HERE, other)
        await soon()
        await scene.shard.say(3, arrival())
        await soon()
        assert one.heard[1] is other.heard[1]
        assert one.heard[0] is other.heard[0]
        (kept,) = scene.redis.deltas[HERE].deltas
        assert isinstance(one.heard[1], FeedDelta)
        assert one.heard[1].delta.data is kept.data


async def test_who_comes_later_hears_the_static_of_now_at_once() -> None:
    async with a_scene() as scene:
        scene.feeds.listen(HERE, Ear())
        await soon()
        await scene.shard.say(3, arrival("ada"))
        await soon()
        late, later = Ear(), Ear()
        scene.feeds.listen(HERE, late)
        scene.feeds.listen(HERE, later)
        assert late.ticks == ["static 3"]
        static = late.heard[0]
        assert isinstance(static, Static)
        assert [entity["id"] for entity in json.loads(static.data)["entities"]] == ["ada"]
        assert static is later.heard[0], "it is encoded once"
        assert scene.shard.asked == 1


async def test_what_happens_while_the_static_is_on_its_way_is_told_after_it(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        scene.shard.is_up = False
        ear = Ear()
        scene.feeds.listen(HERE, ear)
        await soon()
        await scene.shard.say(3, arrival())
        await scene.shard.show(HERE)  # Of tick 3.
        await scene.shard.say(5, step())
        await soon()
        assert ear.ticks == ["static 3", "5"]


async def test_a_static_between_two_deltas_joins_them_without_a_double(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        scene.shard.is_up = False
        ear = Ear()
        scene.feeds.listen(HERE, ear)
        await soon()
        for tick in range(1, FEED_PENDING_MAX + 10):
            await scene.shard.say(tick)
            await soon()
        assert ear.ticks == [], "never a delta before a static"
        await scene.shard.show(HERE)
        await scene.shard.say(FEED_PENDING_MAX + 10)
        await soon()
        assert ear.ticks == [f"static {FEED_PENDING_MAX + 9}", f"{FEED_PENDING_MAX + 10}"]


async def test_a_gap_is_filled_from_the_stream_and_nobody_notices() -> None:
    async with a_scene() as scene:
        ear = Ear()
        scene.feeds.listen(HERE, ear)
        await soon()
        await scene.shard.say(1, arrival())
        await scene.shard.say_unheard(2, step(x=0))
        await scene.shard.say_unheard(3, step(x=1))
        await scene.shard.say(5, step(x=0))
        await soon()
        assert ear.ticks == ["static 0", "1", "2", "3", "5"]
        assert scene.shard.asked == 1


async def test_a_gap_that_nothing_fills_any_more_is_a_static_again() -> None:
    async with a_scene() as scene:
        ear = Ear()
        scene.feeds.listen(HERE, ear)
        await soon()
        await scene.shard.say(1, arrival())
        await scene.shard.say_unheard(2, step())
        await soon()
        scene.redis.deltas.clear()
        await scene.shard.say(5, step())
        await soon()
        await scene.shard.say(6, step())
        await soon()
        assert ear.ticks == ["static 0", "1", "static 5", "6"]


async def test_a_lost_subscription_is_made_good_without_waiting_for_the_next_delta(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        ear = Ear()
        scene.feeds.listen(HERE, ear)
        await soon()
        await scene.shard.say(1, arrival())
        await soon()
        scene.redis.cut()
        await scene.shard.say(2, step())
        await trio.sleep(1)
        assert ear.ticks == ["static 0", "1", "2"]


async def test_a_redis_that_is_away_is_waited_for(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        ear = Ear()
        scene.redis.down = True
        scene.feeds.listen(HERE, ear)
        await trio.sleep(30)
        assert ear.ticks == []
        scene.redis.down = False
        await trio.sleep(3 * SHOW_SECONDS)
        assert ear.ticks == ["static 0"]


async def test_a_shard_that_is_down_is_asked_until_it_answers(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        scene.shard.is_up = False
        ear = Ear()
        scene.feeds.listen(HERE, ear)
        await trio.sleep(30 * SHOW_SECONDS)
        assert ear.ticks == []
        scene.shard.is_up = True
        await trio.sleep(SHOW_SECONDS + 0.1)
        await scene.shard.say(1, arrival())
        await soon()
        assert ear.ticks == ["static 0", "1"]
        assert scene.shard.asked == 1, "who is answered stops asking"


async def test_who_left_hears_no_more_and_others_do() -> None:
    async with a_scene() as scene:
        one, other = Ear(), Ear()
        for ear in (one, other):
            scene.feeds.listen(HERE, ear)
        await soon()
        scene.feeds.leave(HERE, one)
        scene.feeds.leave(HERE, one)
        scene.feeds.leave(THERE, one)
        await scene.shard.say(1, arrival())
        await soon()
        assert one.ticks == ["static 0"]
        assert other.ticks == ["static 0", "1"]


async def test_a_feed_outlives_its_last_listener_for_a_moment(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        ear = Ear()
        scene.feeds.listen(HERE, ear)
        await soon()
        scene.feeds.leave(HERE, ear)
        await trio.sleep(FEED_LINGER_SECONDS / 2)
        await scene.shard.say(1, arrival())
        await soon()
        again = Ear()
        scene.feeds.listen(HERE, again)
        assert again.ticks == ["static 1"]


async def test_a_feed_that_nobody_wants_is_let_go_and_begins_anew(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        (subscriber,) = scene.redis.subscribers
        ear = Ear()
        scene.feeds.listen(HERE, ear)
        await soon()
        assert subscriber.watched == {HERE}
        scene.feeds.leave(HERE, ear)
        await trio.sleep(2 * FEED_LINGER_SECONDS)
        assert subscriber.watched == set()
        assert len(scene.feeds) == 0
        await scene.shard.say(1, arrival())
        scene.feeds.listen(HERE, ear)
        await soon()
        await scene.shard.say(2, step())
        await soon()
        assert ear.ticks == ["static 0", "static 1", "2"]


async def test_who_comes_while_a_feed_is_let_go_is_served(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        ear = Ear()
        scene.feeds.listen(HERE, ear)
        await soon()
        scene.feeds.leave(HERE, ear)
        late = Ear()
        (subscriber,) = scene.redis.subscribers
        while HERE in subscriber.watched:  # Ends at the very moment of letting go.
            await trio.sleep(0.001)
        scene.feeds.listen(HERE, late)
        await trio.sleep(1)
        await scene.shard.say(1, arrival())
        await soon()
        assert late.ticks == ["static 0", "1"]


async def test_chunks_do_not_mix() -> None:
    async with a_scene() as scene:
        here, there = Ear(), Ear()
        scene.feeds.listen(HERE, here)
        scene.feeds.listen(THERE, there)
        await soon()
        await scene.shard.say(1, arrival("ada"), chunk=HERE)
        await scene.shard.say(2, arrival("bob"), chunk=THERE)
        await soon()
        assert here.ticks == ["static 0", "1"]
        assert there.ticks == ["static 0", "2"]


async def test_a_message_that_nobody_can_read_costs_a_gap_and_no_more() -> None:
    async with a_scene() as scene:
        ear = Ear()
        scene.feeds.listen(HERE, ear)
        await soon()
        await scene.shard.say(1, arrival())
        await scene.shard.say_unheard(2, step())
        (subscriber,) = scene.redis.subscribers
        subscriber.hear(a_delta(2, 1, data=b"{").delta)
        await scene.shard.say(3, step())
        await soon()
        assert ear.ticks == ["static 0", "1", "2", "3"]


# A chunk that is collected


async def test_what_is_watched_is_said_again_and_again_and_no_longer_than_it_is(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        shard_bus, ear = MemoryShardBus(scene.redis), Ear()
        scene.feeds.listen(HERE, ear)
        for _ in range(5):
            await trio.sleep(COLLECT_SECONDS / 2)
            assert (await shard_bus.unwatched_ms([HERE]))[HERE] <= WATCH_SECONDS * 1_000
        scene.feeds.leave(HERE, ear)
        await trio.sleep(COLLECT_SECONDS)
        unwatched_ms = (await shard_bus.unwatched_ms([HERE]))[HERE]
        gone_ms = (COLLECT_SECONDS - FEED_LINGER_SECONDS - WATCH_SECONDS) * 1_000
        assert gone_ms <= unwatched_ms <= COLLECT_SECONDS * 1_000
        assert ear.ticks == ["static 0"]


async def test_a_gateway_that_was_cut_off_for_long_asks_what_became_of_its_chunks(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        ear = Ear()
        scene.feeds.listen(HERE, ear)
        await soon()
        await scene.shard.say(3, arrival())
        await trio.sleep(1)
        scene.redis.down = True
        await trio.sleep(COLLECT_SECONDS)
        scene.shard.be_born_again(HERE, generation=2, tick=2_000)
        scene.redis.down = False
        await trio.sleep(2 * WATCH_SECONDS)
        assert ear.ticks == ["static 0", "3", "static 2000"]
        assert ear.generations == [1, 2]


async def test_a_gateway_that_was_cut_off_for_a_while_disturbs_nobody(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        ear = Ear()
        scene.feeds.listen(HERE, ear)
        await soon()
        await scene.shard.say(3, arrival())
        await trio.sleep(1)
        scene.redis.down = True
        await trio.sleep((WATCH_LAPSED_LOOKS - 2) * WATCH_SECONDS)
        scene.redis.down = False
        await trio.sleep(2 * WATCH_SECONDS)
        assert ear.ticks == ["static 0", "3"]


async def test_a_feed_that_lingers_does_not_go_on_into_the_next_generation(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        ear, late = Ear(), Ear()
        scene.feeds.listen(HERE, ear)
        await soon()
        await scene.shard.say(3, arrival())
        await soon()
        scene.feeds.leave(HERE, ear)
        scene.shard.be_born_again(HERE, generation=2, tick=2_000)
        await scene.shard.say(2_001, arrival("bob"))
        await trio.sleep(FEED_LINGER_SECONDS / 2)
        scene.feeds.listen(HERE, late)
        await scene.shard.say(2_002, step("bob"))
        await trio.sleep(1)
        assert late.ticks == ["static 3", "static 2002"]
        assert late.generations == [1, 2]


async def test_listeners_of_an_old_generation_see_the_new_one_from_its_static_on(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        ear = Ear()
        scene.feeds.listen(HERE, ear)
        await soon()
        await scene.shard.say(3, arrival())
        await trio.sleep(150)
        scene.redis.deltas.clear()  # As after 120 s.
        scene.shard.be_born_again(HERE, generation=2, tick=2_000)
        await scene.shard.say(2_001, arrival("bob"))
        await trio.sleep(1)
        assert ear.ticks == ["static 0", "3", "static 2001"]
        assert ear.generations == [1, 2]


async def test_nobody_has_a_position_in_a_chunk_that_is_not_known_yet(
    autojump_clock: MockClock,
) -> None:
    async with a_scene() as scene:
        await scene.shard.say(1, arrival("ada"))
        assert scene.feeds.position(AgentId("ada"), HERE) is None
        scene.shard.is_up = False
        scene.feeds.listen(HERE, Ear())
        await soon()
        assert scene.feeds.position(AgentId("ada"), HERE) is None
        scene.shard.is_up = True
        await trio.sleep(2 * SHOW_SECONDS)
        assert scene.feeds.position(AgentId("ada"), HERE) == Position(1, 0)
        assert scene.feeds.position(AgentId("bob"), HERE) is None
