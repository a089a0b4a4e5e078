"""A shard process as a whole, over memory adapters: what it promises to gateways and to itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import attrs
import pytest
import trio
from trio.testing import MockClock

from common.adapters.memory_journal import MemoryJournal
from common.adapters.memory_shard_bus import MemoryShardBus
from common.commands import Say, Wait
from common.envelopes import (
    AckLine,
    Attached,
    AttachRefused,
    CancelOffered,
    Detach,
    ResultLine,
)
from common.events import Left
from common.frames import Position
from common.grid import AgentId, ChunkId, CommandId, SessionId, Slot, Tick
from common.journal import Committed, Conflict, Row, Snapshot
from common.limits import (
    LEASE_MS,
    PRESENCE_MS,
    PRESENCE_ROUND_SECONDS,
    RESUME_MS,
    SHUTDOWN_SECONDS_MAX,
    SNAPSHOT_TICKS,
    TICK_SECONDS,
)
from shard.metrics import REGISTRY
from shard.world.codec import encode_input
from shard.world.inputs import Enter
from tests.shard.town import GATEWAY, Town


class GatedJournal(MemoryJournal):
    """Commits wait for ``gate``."""

    def __init__(self, town: Town) -> None:
        super().__init__(town.postgres)
        self.gate = trio.Event()
        self.gate.set()

    async def commit(self, rows: Sequence[Row]) -> Committed | Conflict:
        await self.gate.wait()
        return await super().commit(rows)


def _with(town: Town, journal: MemoryJournal) -> None:
    town.start("s1", attrs.evolve(town.outside(), journal=journal))


async def test_an_agent_that_attaches_stands_somewhere_and_is_shown(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    attached = await town.join("ann")
    static = await town.show("0:0")
    assert attached.chunk == "0:0"
    assert [(e.id, e.x, e.y) for e in static.entities] == [
        ("ann", attached.position.x, attached.position.y)
    ]


async def test_an_accepted_command_gets_one_result(autojump_clock: MockClock, town: Town) -> None:
    town.start("s1")
    await town.join("ann")
    await town.offer(town.command("ann", "c1", Say("hello")))
    await town.wait_for(lambda: town.results("c1"))
    (ack,), (result,) = town.acks("c1"), town.results("c1")
    assert (ack.seq, result.seq, ack.code, result.reason) == (1, 2, None, None)
    assert (SessionId("ses_ann"), CommandId("c1")) in town.postgres.commands


async def test_nobody_hears_accepted_before_it_is_journaled(
    autojump_clock: MockClock, town: Town
) -> None:
    journal = GatedJournal(town)
    _with(town, journal)
    await town.join("ann")
    journal.gate = trio.Event()
    await town.offer(town.command("ann", "c1", Say("hello")))
    await trio.sleep(2)
    assert not town.acks("c1")
    journal.gate.set()
    await town.wait_for(lambda: town.acks("c1"))


class ForgettingNothing(MemoryShardBus):
    """Of a shard that is killed before what it dealt with is gone from the stream."""

    async def done(self, slot: Slot, upto: str) -> None:
        pass


async def test_what_was_refused_is_not_accepted_by_who_comes_next(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1", attrs.evolve(town.outside(), bus=ForgettingNothing(town.redis)))
    await town.join("ann")
    town.postgres.down = True
    await town.offer(town.command("ann", "c1", Say("hello")))
    await town.wait_for(lambda: town.acks("c1"))
    await town.kill("s1")
    town.postgres.down = False
    town.start("s2")
    await town.offer(town.command("ann", "c2", Say("hello")))
    await town.wait_for(lambda: town.results("c2"))

    assert [ack.code for ack in town.acks("c1")] == ["unavailable"]
    assert (SessionId("ses_ann"), CommandId("c1")) not in town.postgres.commands


async def test_a_chunk_waits_for_its_commit_while_others_go_on(
    autojump_clock: MockClock, town: Town
) -> None:
    journal = GatedJournal(town)
    _with(town, journal)
    await town.join("ann")
    await town.join("bob")
    await town.offer(town.command("bob", "b1", town.goal("1:0")))
    await town.wait_for(lambda: town.population().get("bob") == ["1:0"], 120)
    await town.offer(town.command("ann", "a1", town.goal("-1:0")))
    await town.wait_for(lambda: town.acks("a1"))
    journal.gate = trio.Event()
    await town.offer(town.command("ann", "a2", Say("hello")))
    await trio.sleep(0.5)
    ticks, others = len(town.deltas[ChunkId("0:0")]), len(town.deltas[ChunkId("1:0")])
    await trio.sleep(2)
    assert len(town.deltas[ChunkId("0:0")]) == ticks
    assert len(town.deltas[ChunkId("1:0")]) > others
    journal.gate.set()
    await town.wait_for(lambda: town.results("a2"))


async def test_a_walk_over_a_border_ends_on_its_goal(autojump_clock: MockClock, town: Town) -> None:
    town.start("s1")
    await town.join("ann")
    goal = town.goal("1:0")
    await town.offer(town.command("ann", "c1", goal))
    await town.wait_for(lambda: town.results("c1"), 120)
    (result,) = town.results("c1")
    assert (result.chunk, result.position.x, result.position.y) == ("1:0", goal.x, goal.y)
    assert town.population() == {"ann": ["1:0"]}
    town.assert_streams_are_unbroken()


# The same command twice


async def test_a_command_sent_again_is_answered_as_before_and_done_once(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await town.join("ann")
    offer = town.command("ann", "c1", Say("hello"))
    await town.offer(offer, offer)
    await town.wait_for(lambda: town.results("c1"))
    assert len(town.acks("c1")) == 1
    await town.offer(offer)
    await town.wait_for(lambda: len(town.results("c1")) == 2)
    first, second = town.acks("c1")
    assert first == second
    assert town.results("c1")[0] == town.results("c1")[1]
    said = [e for d in town.deltas[ChunkId("0:0")] for e in d.events if e.type == "said"]
    assert len(said) == 1


async def test_a_command_sent_again_while_it_is_in_flight_is_not_refused_for_itself(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await town.join("ann")
    offer = town.command("ann", "c1", Wait(50))
    await town.offer(offer)
    await town.wait_for(lambda: town.acks("c1"))
    await town.offer(offer, town.command("ann", "c2", Wait(1)))
    await town.wait_for(lambda: len(town.acks("c1")) == 2 and town.acks("c2"))
    first, second = town.acks("c1")
    assert first == second
    assert first.code is None
    assert town.acks("c2")[0].code == "in_flight"


async def test_a_command_in_doubt_is_admitted_once(autojump_clock: MockClock, town: Town) -> None:
    town.start("s1")
    await town.join("ann")
    doubts: list[tuple[Literal["written", "lost"], str]] = [("written", "c1"), ("lost", "c2")]
    for doubt, id in doubts:
        town.postgres.commit_doubt = doubt
        await town.offer(town.command("ann", id, Say("hello")))
        await town.wait_for(partial(town.results, id))
        assert len(town.acks(id)) == len(town.results(id)) == 1
    assert [town.results(id)[0].seq for id in ("c1", "c2")] == [2, 4]


async def test_a_command_that_comes_too_late_is_not_journaled(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await town.join("ann")
    late = attrs.evolve(town.command("ann", "c1", Say("hello")), expires_at_ms=1)
    await town.offer(late, town.command("ann", "c2", Say("in time")))
    await town.wait_for(lambda: town.acks("c1") and town.results("c2"))
    assert town.acks("c1")[0].code == "unavailable"
    assert (town.acks("c2")[0].seq, town.results("c2")[0].seq) == (1, 2)


async def test_a_command_is_cancelled(autojump_clock: MockClock, town: Town) -> None:
    town.start("s1")
    await town.join("ann")
    await town.offer(town.command("ann", "c1", Wait(50)))
    await town.wait_for(lambda: town.acks("c1"))
    cancel = CancelOffered(SessionId("ses_ann"), AgentId("ann"), CommandId("c1"), ChunkId("0:0"))
    await town.offer(cancel, cancel)
    await town.wait_for(lambda: town.results("c1"), 1)
    assert town.results("c1")[0].reason == "cancelled"


async def test_what_a_newer_session_ends_says_so_and_the_agent_stays(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await town.join("ann")
    await town.offer(town.command("ann", "c1", Wait(50)))
    await town.wait_for(lambda: town.acks("c1"))
    cancel = CancelOffered(
        SessionId("ses_ann"),
        AgentId("ann"),
        CommandId("c1"),
        ChunkId("0:0"),
        reason="session_ended",
    )
    await town.offer(cancel, cancel)
    await town.wait_for(lambda: town.results("c1"), 1)
    assert [line.reason for line in town.results("c1")] == ["session_ended"]
    await town.offer(town.command("ann", "c2", Say("still here")))
    await town.wait_for(lambda: town.results("c2"), 1)


async def test_what_looks_in_the_wrong_chunk_is_sent_after_its_agent(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await town.join("ann")
    await town.offer(town.command("ann", "c1", town.goal("1:0")))
    await town.wait_for(lambda: town.results("c1"), 120)
    await town.offer(town.command("ann", "c2", Say("over here"), chunk="0:0"))
    await town.offer(town.command("ann", "c3", Say("and here"), chunk="-2:1"))
    await town.wait_for(lambda: town.results("c2") and town.results("c3"))
    assert {town.results(id)[0].chunk for id in ("c2", "c3")} == {"1:0"}
    again = await town.join("ann")
    assert again.chunk == "1:0"


async def test_who_attaches_again_is_told_a_seq_that_counts_every_ack_before(
    autojump_clock: MockClock, town: Town
) -> None:
    """Else the gateway must believe that the session's numbers begin again."""
    town.start("one")
    await town.join("ada")
    before = len(town.heard)
    says = [town.command("ada", f"c-{number}", Say("hi")) for number in range(3)]
    await town.offer(*says, town.attach("ada"))
    await town.wait_for(lambda: any(isinstance(m, Attached) for m in town.heard[before:]))
    late = town.heard[before:]
    (place,) = [place for place, told in enumerate(late) if isinstance(told, Attached)]
    attached = late[place]
    told = [m.seq for m in late[:place] if isinstance(m, AckLine | ResultLine) and m.seq]
    assert isinstance(attached, Attached)
    assert attached.seq == max(told) == 6


async def test_after_a_crash_the_record_says_where_an_agent_went(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await town.join("ann")
    await town.offer(town.command("ann", "c1", town.goal("1:0")))
    await town.wait_for(lambda: town.results("c1"), 120)
    await town.kill("s1")
    town.start("s2")
    await trio.sleep(5)
    await town.offer(town.command("ann", "c2", Say("over here"), chunk="0:0"))
    await town.wait_for(lambda: town.results("c2"))
    assert town.results("c2")[0].chunk == "1:0"


async def test_a_command_of_somebody_who_is_nowhere_is_refused(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    town.sign_up("ann")
    await town.gateway.bind(SessionId("ses_ann"), GATEWAY)
    await town.offer(town.command("ann", "c1", Say("hello")))
    await town.wait_for(lambda: town.acks("c1"))
    assert town.acks("c1")[0].code == "unavailable"


# Sessions


async def test_a_newer_session_takes_the_agent_over_where_it_stands(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    first = await town.join("ann")
    await town.offer(town.command("ann", "c1", Wait(50)))
    await town.wait_for(lambda: town.acks("c1"))
    second = await town.join("ann", "ses_new")
    assert (second.position, second.seq, second.in_flight) == (first.position, 0, None)
    assert town.results("c1")[0].reason == "session_ended"
    refused = town.command("ann", "c2", Say("from the past"))
    await town.offer(refused)
    await town.wait_for(lambda: town.acks("c2"))
    assert town.acks("c2")[0].code == "unavailable"
    assert town.population() == {"ann": ["0:0"]}


async def test_an_agent_whose_session_ran_out_leaves_and_comes_back_where_it_stood(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    first = await town.join("ann")
    await trio.sleep(PRESENCE_MS / 1000 + 3)
    assert town.population() == {}
    (left,) = [e for d in town.deltas[ChunkId("0:0")] for e in d.events if isinstance(e, Left)]
    assert left.reason == "session_ended"
    account = town.postgres.agents[AgentId("ann")]
    assert (account.present, account.x) == (False, first.position.x)
    second = await town.join("ann", "ses_new")
    assert second.position == first.position


async def test_an_agent_whose_session_redis_has_lost_leaves_if_nobody_comes_back(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await town.join("ann")
    await trio.sleep(20)
    del town.redis.presence[SessionId("ses_ann")]
    await trio.sleep(RESUME_MS / 1000 - 1)
    assert town.population() == {"ann": ["0:0"]}
    await trio.sleep(2 * PRESENCE_ROUND_SECONDS + 3)
    assert town.population() == {}


async def test_what_rests_is_saved_after_it_stirred_and_not_again(
    autojump_clock: MockClock, town: Town
) -> None:
    class Counting(MemoryJournal):
        saved = 0

        async def save(
            self, snapshots: Sequence[Snapshot], empty: frozenset[ChunkId]
        ) -> frozenset[ChunkId]:
            self.saved += len(snapshots)
            return await super().save(snapshots, empty)

    journal = Counting(town.postgres)
    _with(town, journal)
    for times in range(1, 4):
        if times == 1:
            await town.join("ann")
        else:
            await town.offer(town.command("ann", f"c{times}", Say("awake")))
        await town.stay("ann")
        await trio.sleep(2 * SNAPSHOT_TICKS * TICK_SECONDS)
        assert journal.saved == times


async def test_a_session_that_is_over_ends_at_once(autojump_clock: MockClock, town: Town) -> None:
    town.start("s1")
    await town.join("ann")
    await town.offer(Detach(SessionId("ses_ann"), AgentId("ann"), ChunkId("0:0")))
    await trio.sleep(1)
    assert town.population() == {}


async def test_nobody_is_driven_out_because_redis_was_away(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await town.join("ann")
    await trio.sleep(50)
    town.redis.down = True
    await trio.sleep(28)
    town.redis.down = False
    await trio.sleep(20)
    assert town.population() == {"ann": ["0:0"]}
    await trio.sleep(60)
    assert town.population() == {}


async def test_a_newcomer_finds_room_in_a_chunk_beside(
    autojump_clock: MockClock, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shard.world.turn.CHUNK_AGENTS_MAX", 1)
    monkeypatch.setattr("shard.decisions.attaching.CHUNK_AGENTS_MAX", 2)  # Seen at the tick only.
    town.start("s1")
    for name in ("ann", "bob", "cat"):
        town.sign_up(name)
        await town.gateway.bind(await town.open_session(name), GATEWAY)
    await town.offer(*(town.attach(name) for name in ("ann", "bob", "cat")))
    await town.wait_for(lambda: len([m for m in town.heard if isinstance(m, Attached)]) == 3)
    placed = [m.chunk for m in town.heard if isinstance(m, Attached)]
    assert sorted(placed) == ["0:0", "1:0", "1:1"]
    town.sign_up("dan")
    await town.open_session("dan")
    await town.offer(town.attach("dan", at=Position(1, 1)))
    await town.wait_for(lambda: any(isinstance(m, AttachRefused) for m in town.heard))


# Watching


async def test_looking_at_a_chunk_creates_nothing(autojump_clock: MockClock, town: Town) -> None:
    town.start("s1")
    static = await town.show("2:2")
    assert (static.entities, static.tick, static.generation) == ([], 0, 1)
    assert len(static.terrain) == 50
    assert ChunkId("2:2") not in town.postgres.chunks


async def test_agents_that_do_nothing_cost_no_ticks(autojump_clock: MockClock, town: Town) -> None:
    town.start("s1")
    await town.join("ann")
    before = REGISTRY.get_sample_value("tessera_shard_tick_seconds_count")
    await trio.sleep(40)
    assert REGISTRY.get_sample_value("tessera_shard_tick_seconds_count") == before
    await town.offer(town.command("ann", "c1", Say("awake")))
    await town.wait_for(lambda: town.results("c1"))
    first = town.deltas[ChunkId("0:0")][0].tick
    assert 190 <= town.results("c1")[0].tick - first <= 210


# Crashes, and other processes


async def test_a_crash_loses_no_accepted_command_and_repeats_nothing(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await town.join("ann")
    goal = town.goal("0:0")
    await town.offer(town.command("ann", "c1", goal))
    await town.wait_for(lambda: town.acks("c1"))
    await trio.sleep(1)
    await town.kill("s1")
    town.start("s2")
    await town.wait_for(lambda: town.results("c1"), 60)
    assert (town.results("c1")[0].position.x, town.results("c1")[0].position.y) == (goal.x, goal.y)
    await trio.sleep(5)
    town.assert_answered_once("ann", "c1")
    town.assert_streams_are_unbroken()


async def test_what_was_journaled_but_not_yet_acked_is_acked_after_a_crash(
    autojump_clock: MockClock, town: Town
) -> None:
    class Dying(MemoryJournal):
        """Kills its process right after the commit of a command."""

        async def commit(self, rows: Sequence[Row]) -> Committed | Conflict:
            outcome = await super().commit(rows)
            if any(row.command for row in rows):
                town.processes["s1"].scope.cancel()
                await trio.sleep_forever()
            return outcome

    _with(town, Dying(town.postgres))
    await town.join("ann")
    await town.offer(town.command("ann", "c1", Say("hello")))
    await town.processes["s1"].ended.wait()
    assert not town.acks("c1")
    town.start("s2")
    await town.wait_for(lambda: town.results("c1"))
    await trio.sleep(5)
    town.assert_answered_once("ann", "c1")


async def test_a_spare_takes_over_within_five_seconds(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await town.join("ann")
    town.start("spare")
    await trio.sleep(1)
    await town.kill("s1")
    began = trio.current_time()
    await town.offer(town.command("ann", "c1", Say("still here")))
    await town.wait_for(lambda: town.results("c1"), 5)
    assert trio.current_time() - began < 5


async def test_a_lost_lease_stops_the_ticks_at_once(autojump_clock: MockClock, town: Town) -> None:
    town.start("s1")
    await town.join("ann")
    await town.offer(town.command("ann", "c1", town.goal("0:0")))
    await town.wait_for(lambda: town.acks("c1"))
    town.redis.leases[Slot(0)] = ("thief", town.redis.now_ms() + 20_000)
    await trio.sleep(LEASE_MS / 3_000 + 0.1)
    seen = len(town.deltas[ChunkId("0:0")])
    await trio.sleep(10)
    assert len(town.deltas[ChunkId("0:0")]) == seen
    await town.wait_for(lambda: town.results("c1"), 60)
    town.assert_streams_are_unbroken()


async def test_a_lease_that_cannot_be_renewed_stops_the_ticks_when_it_ends(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await town.join("ann")
    await town.offer(town.command("ann", "c1", Wait(50)))
    await town.wait_for(lambda: town.acks("c1"))
    town.redis.down = True
    await trio.sleep(LEASE_MS / 1000)
    ticks = REGISTRY.get_sample_value("tessera_shard_tick_seconds_count")
    await trio.sleep(5)
    assert REGISTRY.get_sample_value("tessera_shard_tick_seconds_count") == ticks
    town.redis.down = False
    await trio.sleep(20)  # The listener may hear again later than the slot is taken.
    town.assert_kept_once("ann", "c1")


async def test_a_chunk_that_somebody_else_took_is_dropped_and_taken_back(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await town.join("ann")
    await MemoryJournal(town.postgres).take([ChunkId("0:0")], "thief")
    await town.offer(town.command("ann", "c1", Say("mine")))
    await town.wait_for(lambda: town.results("c1"))
    assert town.postgres.chunks[ChunkId("0:0")].holder == "s1/1"
    town.assert_streams_are_unbroken()


async def test_without_postgres_commands_are_refused_and_walkers_go_on(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await town.join("ann")
    await town.offer(town.command("ann", "c1", town.goal("0:0")))
    await town.wait_for(lambda: town.acks("c1"))
    town.postgres.down = True
    await town.offer(town.command("ann", "c2", Say("hello")))
    await town.wait_for(lambda: town.acks("c2"))
    assert town.acks("c2")[0].code == "unavailable"
    await town.wait_for(lambda: town.results("c1"), 60)
    town.postgres.down = False
    await town.offer(town.command("ann", "c3", Say("back again")))
    await town.wait_for(lambda: town.results("c3"))
    assert town.postgres.commands[SessionId("ses_ann"), CommandId("c1")].result is not None


async def test_while_redis_is_away_nothing_is_lost(autojump_clock: MockClock, town: Town) -> None:
    town.start("s1")
    await town.join("ann")
    await town.offer(town.command("ann", "c1", town.goal("0:0")))
    await town.wait_for(lambda: town.acks("c1"))
    town.redis.down = True
    await trio.sleep(20)
    town.redis.down = False
    await town.wait_for(lambda: town.results("c1"), 60)
    town.assert_streams_are_unbroken()


async def test_after_redis_lost_everything_ticks_do_not_go_back(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await town.join("ann")
    await town.offer(town.command("ann", "c1", town.goal("0:0")))
    await town.wait_for(lambda: town.acks("c1"))
    await trio.sleep(3)
    town.redis.forget()
    await town.gateway.bind(SessionId("ses_ann"), GATEWAY)
    last = town.deltas[ChunkId("0:0")][-1].tick
    await trio.sleep(5)
    await town.offer(town.command("ann", "c2", Say("hello")))
    await town.wait_for(lambda: town.results("c2"))
    assert town.results("c2")[0].tick > last
    assert town.postgres.commands[SessionId("ses_ann"), CommandId("c1")].result is not None


async def test_on_stop_all_is_saved_and_the_slot_given_back(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await town.join("ann")
    await town.offer(town.command("ann", "c1", town.goal("0:0")))
    await town.wait_for(lambda: town.acks("c1"))
    await trio.sleep(1)
    began = trio.current_time()
    await town.stop("s1")
    assert trio.current_time() - began < SHUTDOWN_SECONDS_MAX
    assert not town.redis.leases
    assert not town.redis.stream(Slot(0)).entries
    assert town.saved_tick("0:0") >= town.deltas[ChunkId("0:0")][-1].tick
    town.start("s2")
    await town.wait_for(lambda: town.results("c1"), 60)
    town.assert_streams_are_unbroken()


async def test_a_stop_with_everything_away_ends_in_time(
    autojump_clock: MockClock, town: Town
) -> None:
    town.start("s1")
    await town.join("ann")
    await town.offer(town.command("ann", "c1", town.goal("0:0")))
    await town.wait_for(lambda: town.acks("c1"))
    town.postgres.down = town.redis.down = True
    began = trio.current_time()
    await town.stop("s1")
    assert trio.current_time() - began <= SHUTDOWN_SECONDS_MAX


async def test_a_chunk_at_work_is_saved_now_and_then(autojump_clock: MockClock, town: Town) -> None:
    town.start("s1")
    await town.join("ann")
    for number in range(5):
        await town.offer(town.command("ann", f"c{number}", Wait(50)))
        await town.wait_for(partial(town.results, f"c{number}"))
    assert town.saved_tick("0:0") > 0
    assert len(town.postgres.chunks[ChunkId("0:0")].journal) <= 5


async def test_who_entered_by_another_hand_is_shown(autojump_clock: MockClock, town: Town) -> None:
    """Redis forgot a lease: for a moment two had the slot, and the other one let ada in."""
    town.start("s1")
    await town.join("bob")
    other, chunk = MemoryJournal(town.postgres), ChunkId("2:2")
    (taken,) = await other.take([chunk], "other")
    enter = encode_input(Enter(AgentId("ada"), SessionId("ses_ada"), "ada"))
    await other.commit([Row(chunk, taken.epoch, Tick(1), 0, enter)])
    static = await town.show("2:2")
    assert [entity.id for entity in static.entities] == ["ada"]
