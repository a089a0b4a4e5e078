"""A process that is told to drain hands over what it has, ends, and nothing is lost with it."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from common.commands import Say, Wait
from common.grid import ChunkId, Slot
from common.limits import LEASE_MS, TICK_SECONDS
from common.topology import Topology
from tests.shard.test_resharding import STAYING, chunk_that_moves, clock_at, holders, join_at, say
from tests.shard.town import Town


async def test_who_drains_hands_over_all_that_it_has_and_ends(
    autojump_clock: MockClock, town: Town
) -> None:
    town.postgres.topology = Topology(1, 4)
    one = town.start("s1")
    await holders(town, 4)
    await join_at(town, "ann", STAYING)
    await join_at(town, "bob", chunk_that_moves(1, 4))
    for agent in ("ann", "bob"):
        await say(town, agent, f"{agent[0]}1", Wait(40))
    await town.wait_for(lambda: town.acks("a1") and town.acks("b1"))
    town.start("s2")
    await trio.sleep(0.1)
    began = trio.current_time()
    one.drain.set()
    await one.ended.wait()
    assert trio.current_time() - began < 2
    assert await holders(town, 4) == dict.fromkeys(map(Slot, range(4)), "s2")
    await town.wait_for(lambda: town.results("a1") and town.results("b1"))
    town.assert_answered_once("ann", "a1")
    town.assert_answered_once("bob", "b1")
    town.assert_streams_are_unbroken()


async def test_the_pause_of_a_chunk_that_is_handed_over_with_its_slot_is_short(
    autojump_clock: MockClock, town: Town
) -> None:
    one = town.start("s1")
    await join_at(town, "ann", STAYING)
    await say(town, "ann", "a1", Wait(50))
    await town.wait_for(lambda: town.acks("a1"))
    town.start("s2")
    await trio.sleep(0.1)
    one.drain.set()
    await town.wait_for(lambda: town.results("a1"))
    await trio.sleep(1.1)
    pauses = town.redis.slot_beats[Slot(0)][1].moved
    assert pauses is not None
    assert pauses.chunks == 1
    assert pauses.max_ms < 2 * TICK_SECONDS * 1000
    assert trio.current_time() > 50 * TICK_SECONDS, "its clock went on where it was"


async def test_who_is_told_through_redis_drains_and_takes_nothing_more(
    autojump_clock: MockClock, town: Town
) -> None:
    town.postgres.topology = Topology(1, 2)
    one = town.start("s1")
    town.start("s2")
    held = await holders(town, 2)
    assert set(held.values()) == {"s1", "s2"}
    mine = next(slot for slot, holder in held.items() if holder == "s1")
    assert await town.gateway.drain(mine)
    with trio.fail_after(3):
        await one.ended.wait()
    assert set((await holders(town, 2)).values()) == {"s2"}
    assert "s1" not in town.redis.survey().processes


async def test_who_drains_alone_gives_everything_back_and_ends_soon(
    autojump_clock: MockClock, town: Town
) -> None:
    town.postgres.topology = Topology(1, 4)
    one = town.start("s1")
    await holders(town, 4)
    await join_at(town, "ann", STAYING)
    await say(town, "ann", "a1", Wait(30))
    await town.wait_for(lambda: town.acks("a1"))
    began = trio.current_time()
    one.drain.set()
    await one.ended.wait()
    assert trio.current_time() - began < 1
    assert not town.redis.leases
    town.start("s2")
    await town.wait_for(lambda: town.results("a1"))
    town.assert_answered_once("ann", "a1")


async def test_who_is_cut_off_while_it_drains_loses_nothing(
    autojump_clock: MockClock, town: Town
) -> None:
    town.postgres.topology = Topology(1, 4)
    one = town.start("s1")
    await join_at(town, "ann", STAYING)
    await say(town, "ann", "a1", Wait(30))
    await town.wait_for(lambda: town.acks("a1"))
    town.start("s2")
    await trio.sleep(0.1)
    one.drain.set()
    await trio.sleep(0.01)
    await town.kill("s1")
    await town.wait_for(lambda: town.results("a1"), LEASE_MS / 1000 + 10)
    town.assert_answered_once("ann", "a1")
    town.assert_streams_are_unbroken()


async def test_processes_replaced_in_turn_under_load_lose_and_double_nothing(
    autojump_clock: MockClock, town: Town
) -> None:
    town.postgres.topology = Topology(1, 3)
    running = [town.start(f"s{n}") for n in range(3)]
    chunks = [ChunkId(f"{cx}:0") for cx in range(-3, 3)]
    for number, chunk in enumerate(chunks):
        await join_at(town, f"agent{number}", chunk)

    async def talk(agent: str) -> None:
        for number in range(80):
            await town.stay(agent)
            await say(town, agent, f"{agent}-{number}", Say("hm"))
            await trio.sleep(0.1)

    async with trio.open_nursery() as nursery:
        for number in range(len(chunks)):
            nursery.start_soon(talk, f"agent{number}")
        for number, process in enumerate(running):
            await trio.sleep(1)
            process.drain.set()
            await process.ended.wait()
            town.start(f"t{number}")
    last = f"agent{len(chunks) - 1}-79"
    await town.wait_for(lambda: town.results(last))
    await trio.sleep(3)
    for number in range(len(chunks)):
        agent = f"agent{number}"
        town.assert_answered_once(agent, *(f"{agent}-{n}" for n in range(80)))
    assert {len(where) for where in town.population().values()} == {1}
    town.assert_streams_are_unbroken()
    assert set((await holders(town, 3)).values()) == {"t0", "t1", "t2"}


async def test_the_clock_of_a_chunk_that_rests_goes_on_where_its_slot_comes_to(
    autojump_clock: MockClock, town: Town
) -> None:
    one = town.start("s1")
    await join_at(town, "ann", STAYING)
    await say(town, "ann", "a1")
    await town.wait_for(lambda: town.acks("a1"))
    began, at = clock_at(town, "a1"), trio.current_time()
    town.start("s2")
    await trio.sleep(60)
    one.drain.set()
    await one.ended.wait()
    await say(town, "ann", "a2")
    await town.wait_for(lambda: town.acks("a2"))
    passed = (trio.current_time() - at) / TICK_SECONDS
    assert passed - 3 < clock_at(town, "a2") - began <= passed + 1
