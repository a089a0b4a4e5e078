"""A town under faults drawn from a seed: whatever happens, promises are kept.

Processes are killed, PostgreSQL and Redis go away, commits are in doubt, leases and chunks are
stolen, all while agents walk and talk. Then it is quiet, and everything must have come to an end.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
import trio
from trio.testing import MockClock

from common.adapters.memory_journal import MemoryJournal
from common.commands import Command, Say, Wait
from common.envelopes import CancelOffered, ToShard
from common.grid import AgentId, ChunkId, CommandId, SessionId, Slot
from tests.shard.town import AREA, Town

pytestmark = pytest.mark.slow

AGENTS = [f"a{number}" for number in range(8)]
CALM_SECONDS = 150.0
NEAR = ["0:0", "1:0", "0:1", "-1:0", "0:-1", "1:1"]


@pytest.fixture
def shard_count() -> int:
    return 2


async def _act(town: Town, dice: random.Random, agent: str, until: float) -> None:
    """Offer commands one after another, as a client that is never told anything would."""
    number = 0
    while trio.current_time() < until:
        number += 1
        kind = dice.randrange(6)
        command: Command = town.goal(dice.choice(NEAR), dice.randrange(2000))
        if kind == 0:
            command = Say(f"{agent} {number}")
        elif kind == 1:
            command = Wait(dice.randrange(1, 20))
        offer = town.command(agent, f"{agent}-{number}", command, dice.choice(NEAR))
        for _ in range(dice.choice([1, 1, 2])):
            await _offer(town, offer)
        await trio.sleep(dice.uniform(0.2, 6))
        if kind == 2:
            where = ChunkId(dice.choice(NEAR))
            cancel = CancelOffered(SessionId(f"ses_{agent}"), AgentId(agent), offer.id, where)
            await _offer(town, cancel)


async def _offer(town: Town, message: ToShard) -> None:
    while town.redis.down:
        await trio.sleep(0.5)
    await town.offer(message)


async def _break(town: Town, dice: random.Random, until: float) -> None:
    number = 3
    while trio.current_time() < until:
        await trio.sleep(dice.uniform(1, 8))
        match dice.randrange(8):
            case 0 | 1 | 2 if town.processes:
                await town.kill(dice.choice(sorted(town.processes)))
                number += 1
                town.start(f"s{number}")
            case 3:
                town.postgres.down = True
                await trio.sleep(dice.uniform(0.1, 6))
                town.postgres.down = False
            case 4:
                town.redis.down = True
                await trio.sleep(dice.uniform(0.1, 6))
                town.redis.down = False
            case 5:
                town.postgres.commit_doubt = dice.choice(["written", "lost"])
            case 6:
                chunk = ChunkId(dice.choice(NEAR))
                if chunk in town.postgres.chunks:
                    await MemoryJournal(town.postgres).take([chunk], "thief")
            case _:
                slot = Slot(dice.randrange(2))
                town.redis.leases[slot] = ("thief", town.redis.now_ms() + 4_000)


async def _stay_present(town: Town) -> None:
    while True:
        await trio.sleep(5)
        if not town.redis.down:
            await town.stay(*AGENTS)


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_breaks_promises_are_kept(
    autojump_clock: MockClock, town: Town, nursery: trio.Nursery, seed: int
) -> None:
    await _live_through_it(town, nursery, seed)
    town.assert_streams_are_unbroken()
    assert {kept.generation for kept in town.postgres.chunks.values()} == {1}


@pytest.mark.parametrize("seed", range(6))
async def test_promises_are_kept_also_when_chunks_are_collected_all_the_time(
    autojump_clock: MockClock,
    town: Town,
    nursery: trio.Nursery,
    seed: int,
) -> None:
    town.collect_seconds = 1.5
    await _live_through_it(town, nursery, seed)
    for chunk, deltas in town.deltas.items():
        ticks = [delta.tick for delta in deltas]
        assert ticks == sorted(set(ticks)), f"{chunk} shows ticks twice or backwards"
        jumps = sum(two.prev_tick != one.tick for one, two in itertools.pairwise(deltas))
        assert jumps < town.postgres.chunks[chunk].generation, f"{chunk} has a gap"
    assert max(kept.generation for kept in town.postgres.chunks.values()) > 2


async def _live_through_it(town: Town, nursery: trio.Nursery, seed: int) -> None:
    dice = random.Random(seed)
    nursery.start_soon(_stay_present, town)
    for number in range(3):
        town.start(f"s{number}")
    for agent in AGENTS:
        await town.join(agent)
    until = trio.current_time() + 120
    async with trio.open_nursery() as busy:
        busy.start_soon(_break, town, dice, until)
        for agent in AGENTS:
            busy.start_soon(_act, town, random.Random(f"{seed} {agent}"), agent, until)
    await trio.sleep(CALM_SECONDS)

    assert {agent: len(chunks) for agent, chunks in town.population().items()} == dict.fromkeys(
        AGENTS, 1
    )
    accepted = 0
    for agent in AGENTS:
        session = SessionId(f"ses_{agent}")
        lines = town.redis.lines[session]
        assert [line.seq for line in lines] == list(range(1, len(lines) + 1))
        told = Counter((line.id, line.type) for line in lines)
        known = {id for of, id in town.postgres.commands if of == session}
        accepted += len(known)
        assert told == Counter(
            {(CommandId(id), kind): 1 for id in known for kind in ("ack_line", "result_line")}
        )
        for id in known:
            assert town.postgres.commands[session, id].result is not None
    assert accepted > len(AGENTS) * 3, "hardly anything happened"
    for chunk in AREA:
        static = await town.show(chunk)
        assert {e.id for e in static.entities} == {
            a for a, chunks in town.population().items() if chunks == [chunk]
        }
