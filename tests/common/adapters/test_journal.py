"""What every adapter of ``shard.ports.Journal`` promises, on memory and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import attrs
import pytest
import trio
import trio_asyncio

from common.accounts import ALL_SCOPES, Account, ApiKey, Session
from common.adapters.clock import SystemClock
from common.adapters.memory_accounts import MemoryAccounts
from common.adapters.memory_journal import MemoryJournal
from common.adapters.memory_postgres import MemoryPostgres
from common.adapters.postgres import open_postgres
from common.adapters.postgres_accounts import PostgresAccounts
from common.adapters.postgres_journal import PostgresJournal
from common.envelopes import AckLine, ResultLine, SessionEnded
from common.frames import Position
from common.grid import AgentId, ChunkId, CommandId, Epoch, SessionId, Tick, TransferId
from common.journal import (
    Committed,
    Conflict,
    Fact,
    Known,
    PlacedFact,
    ResultFact,
    Retired,
    Row,
    Snapshot,
    Taken,
    TransferFact,
)
from common.topology import Topologies, Topology
from gateway.ports import Accounts
from shard.ports import Journal

A, B, C = ChunkId("0:0"), ChunkId("1:0"), ChunkId("-1:0")
SES = SessionId("ses_1")
T1, T2 = TransferId("trf_1"), TransferId("trf_2")
AGENT = AgentId("agt_1")
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@attrs.frozen
class Stores:
    journal: Journal
    accounts: Accounts
    """What a gateway sees of the same database."""


@pytest.fixture(params=["memory", pytest.param("embedded", marks=pytest.mark.embedded)])
def url(request: pytest.FixtureRequest) -> str | None:
    if request.param == "memory":
        return None
    database_url: str = request.getfixturevalue("database_url")
    return database_url


@pytest.fixture
async def stores(url: str | None) -> AsyncIterator[Stores]:
    if url is None:
        memory = MemoryPostgres(SystemClock().now_ms)
        yield Stores(MemoryJournal(memory), MemoryAccounts(memory))
    else:
        async with trio_asyncio.open_loop(), open_postgres(url) as postgres:
            yield Stores(PostgresJournal(postgres), PostgresAccounts(postgres))


@pytest.fixture
def journal(stores: Stores) -> Journal:
    return stores.journal


def now_ms() -> int:
    return SystemClock().now_ms()


def a_row(
    epoch: Epoch, ordinal: int = 0, *, chunk: ChunkId = A, tick: int = 1, body: bytes = b"{}"
) -> Row:
    return Row(chunk, epoch, Tick(tick), ordinal, body)


def a_command(
    epoch: Epoch, id: str = "c-1", ordinal: int = 0, *, chunk: ChunkId = A, seq: int = 1
) -> Row:
    ack = AckLine(SES, CommandId(id), seq=seq, tick=Tick(1))
    return Row(chunk, epoch, Tick(1), ordinal, b"{}", ack, expires_at_ms=now_ms() + 60_000)


def an_arrival(epoch: Epoch, transfer: TransferId = T1, ordinal: int = 0) -> Row:
    return Row(A, epoch, Tick(1), ordinal, b"arrival", transfer=transfer)


def an_enter(epoch: Epoch, driver: SessionId, ordinal: int = 0, *, chunk: ChunkId = A) -> Row:
    return Row(chunk, epoch, Tick(1), ordinal, b"enter", driver=driver)


def a_result(id: str = "c-1", seq: int = 2, tick: int = 5) -> ResultLine:
    return ResultLine(SES, CommandId(id), seq, Tick(tick), A, Position(3, 2**31), "blocked")


def a_snapshot(epoch: Epoch, tick: int, *, chunk: ChunkId = A, state: bytes = b"s") -> Snapshot:
    return Snapshot(chunk, epoch, Tick(tick), state, "digest")


async def take(journal: Journal, chunk: ChunkId = A, holder: str = "shard-1") -> Epoch:
    (taken,) = await journal.take([chunk], holder)
    return taken.epoch


async def written(journal: Journal, chunk: ChunkId = A) -> Sequence[Row]:
    """What a new owner would replay. It outdates the owner before."""
    (taken,) = await journal.take([chunk], "reader")
    return taken.rows


async def test_there_is_a_world_and_a_topology(journal: Journal) -> None:
    world = await journal.world()
    assert world.id.startswith("wld_")
    assert 0 <= world.seed < 2**63
    assert world == await journal.world()
    only = Topology(epoch=1, shard_count=1)
    assert await journal.topologies() == Topologies(only, only)


async def test_what_is_wanted_comes_into_force_when_it_is_begun(stores: Stores) -> None:
    await stores.accounts.ask_reshard(3)
    began = await stores.journal.begin_topology(2)
    assert began == Topologies(Topology(2, 3), Topology(2, 3))
    assert await stores.journal.begin_topology(2) == began == await stores.accounts.topologies()


async def test_what_was_wanted_and_no_longer_is_does_not_come_into_force(stores: Stores) -> None:
    await stores.accounts.ask_reshard(3)
    await stores.accounts.ask_reshard(4)
    still = await stores.journal.begin_topology(2)
    assert still == Topologies(Topology(1, 1), Topology(3, 4))
    await stores.accounts.ask_reshard(1)
    assert (await stores.journal.begin_topology(3)).in_force == Topology(1, 1)


async def test_the_last_snapshot_of_an_owner_is_final_for_the_next_and_no_other(
    journal: Journal,
) -> None:
    epoch = await take(journal)
    final = attrs.evolve(a_snapshot(epoch, 5), is_final=True)
    await journal.save([a_snapshot(epoch, 4)], frozenset())
    await journal.save([final, a_snapshot(await take(journal, B), 5, chunk=B)], frozenset())
    one, other = await journal.take([A, B], "shard-2", 1)
    assert (one.is_final, other.is_final) == (True, False)
    (again,) = await journal.take([A], "shard-3", 1)
    assert not again.is_final, "shard-2 may have done something that is not saved"
    await journal.save([attrs.evolve(a_snapshot(again.epoch, 9), is_final=True)], frozenset())
    await journal.save([a_snapshot(again.epoch, 12)], frozenset())
    (later,) = await journal.take([A], "shard-4", 1)
    assert not later.is_final


async def test_nobody_takes_a_chunk_by_a_topology_that_is_not_in_force(stores: Stores) -> None:
    journal = stores.journal
    (mine,) = await journal.take([A], "shard-1", 1)
    await stores.accounts.ask_reshard(3)
    assert await journal.take([A], "shard-2", 2) == []
    await journal.begin_topology(2)
    assert await journal.take([A, B], "shard-2", 1) == []
    assert await journal.commit([a_row(mine.epoch)]) == Committed()
    (theirs,) = await journal.take([A], "shard-2", 2)
    assert theirs.epoch > mine.epoch
    assert len(theirs.rows) == 1


# Taking chunks


async def test_a_chunk_taken_for_the_first_time_is_new(journal: Journal) -> None:
    (taken,) = await journal.take([A], "shard-1")
    assert taken == Taken(A, taken.epoch, 1, Tick(0), None, None, ())


async def test_every_taking_raises_the_epoch(journal: Journal) -> None:
    epochs = [await take(journal, A), await take(journal, B), await take(journal, A)]
    assert epochs == sorted(set(epochs))


async def test_many_chunks_are_taken_in_one_call(journal: Journal) -> None:
    epoch = await take(journal, B)
    await journal.commit([a_row(epoch, chunk=B)])
    taken = await journal.take([B, A, C, A], "shard-1")
    assert [(t.chunk, len(t.rows)) for t in taken] == [(C, 0), (A, 0), (B, 1)]
    assert len({t.epoch for t in taken}) == 3


async def test_a_chunk_comes_with_its_snapshot_and_the_journal_after_it(journal: Journal) -> None:
    epoch = await take(journal)
    rows = [a_row(epoch, n, tick=tick) for tick in (9, 10, 11) for n in (1, 0, 10, 2)]
    await journal.commit(rows)
    await journal.save([a_snapshot(epoch, 9, state=b"state")], frozenset())
    (taken,) = await journal.take([A], "shard-2")
    assert (taken.tick, taken.state, taken.digest) == (9, b"state", "digest")
    assert [(row.tick, row.ordinal) for row in taken.rows] == [
        (tick, n) for tick in (10, 11) for n in (0, 1, 2, 10)
    ]
    assert {row.epoch for row in taken.rows} == {epoch}


async def test_taking_nothing_is_nothing(journal: Journal) -> None:
    assert list(await journal.take([], "shard-1")) == []


async def test_generation_and_last_tick_are_known_of_every_chunk(journal: Journal) -> None:
    assert await journal.generation(A) == (1, 0)
    assert list(await journal.chunks()) == []
    epoch = await take(journal)
    assert await journal.generation(A) == (1, 0)
    await journal.save([a_snapshot(epoch, 9)], frozenset())
    assert await journal.generation(A) == (1, 9)
    await journal.commit([a_row(epoch, tick=12)])
    assert await journal.generation(A) == (1, 12)


# The referee


async def test_a_stale_epoch_writes_nothing(stores: Stores) -> None:
    stale = await take(stores.journal)
    await take(stores.journal)
    rows = [a_command(stale), an_arrival(stale, ordinal=1)]
    assert await stores.journal.commit(rows) == Committed(frozenset({A}))
    assert list(await written(stores.journal)) == []
    assert await stores.accounts.known(SES, CommandId("c-1")) is None
    assert await stores.journal.transfer(T1) is None


async def test_a_chunk_that_nobody_took_is_fenced(journal: Journal) -> None:
    assert await journal.commit([a_row(Epoch(0))]) == Committed(frozenset({A}))
    assert await journal.save([a_snapshot(Epoch(0), 1)], frozenset()) == {A}


async def test_the_rows_of_other_chunks_are_written_beside_a_fenced_one(journal: Journal) -> None:
    stale, ours = await take(journal, A), await take(journal, B)
    newest = await take(journal, A)
    rows = [a_row(stale), a_row(newest, 1), a_row(ours, chunk=B)]
    assert await journal.commit(rows) == Committed(frozenset({A}))
    # All rows of a fenced chunk are dropped, also if some of them had the right epoch.
    assert list(await written(journal, A)) == []
    assert len(await written(journal, B)) == 1


async def test_a_stale_epoch_records_nothing(stores: Stores) -> None:
    await with_an_agent(stores.accounts)
    stale = await take(stores.journal)
    await stores.journal.commit([a_command(stale), an_arrival(stale, ordinal=1)])
    await take(stores.journal)
    facts: list[Fact] = [
        ResultFact(A, stale, a_result()),
        PlacedFact(A, stale, AGENT, 5, 6, present=True),
        TransferFact(A, stale, T1, entered=True),
    ]
    assert await stores.journal.record(facts) == {A}
    known = await stores.accounts.known(SES, CommandId("c-1"))
    assert known is not None
    assert known.result is None
    account = await stores.accounts.account(AGENT)
    assert account is not None
    assert account.x is None
    assert await stores.journal.transfer(T1) == "admitted"


async def test_a_stale_epoch_saves_nothing_and_prunes_nothing(journal: Journal) -> None:
    stale = await take(journal)
    await journal.commit([a_row(stale)])
    await take(journal)
    assert await journal.save([a_snapshot(stale, 5)], frozenset()) == {A}
    (taken,) = await journal.take([A], "shard-3")
    assert (taken.tick, taken.state, len(taken.rows)) == (0, None, 1)


# Committing


async def test_what_was_committed_is_replayed_to_the_last_byte(journal: Journal) -> None:
    epoch = await take(journal)
    row = a_row(epoch, 3, tick=2**40, body=bytes(range(256)))
    assert await journal.commit([row]) == Committed()
    assert list(await written(journal)) == [row]


async def test_an_empty_commit_is_one(journal: Journal) -> None:
    assert await journal.commit([]) == Committed()


async def test_a_repeated_commit_is_written_once(stores: Stores) -> None:
    epoch = await take(stores.journal)
    rows = [a_row(epoch), a_command(epoch, ordinal=1), an_arrival(epoch, ordinal=2)]
    assert await stores.journal.commit(rows) == Committed()
    assert await stores.journal.commit(rows) == Committed()
    assert [row.ordinal for row in await written(stores.journal)] == [0, 1, 2]


async def test_a_repeated_commit_may_bring_new_rows(journal: Journal) -> None:
    epoch = await take(journal)
    rows = [a_command(epoch), a_row(epoch, 1)]
    await journal.commit(rows)
    assert await journal.commit([*rows, a_command(epoch, "c-2", 2, seq=2)]) == Committed()
    assert [row.ordinal for row in await written(journal)] == [0, 1, 2]


async def test_a_repeated_commit_does_not_expire(journal: Journal) -> None:
    epoch = await take(journal)
    row = attrs.evolve(a_command(epoch), expires_at_ms=now_ms() + 60_000)
    await journal.commit([row])
    late = attrs.evolve(row, expires_at_ms=now_ms() - 1)
    assert await journal.commit([late]) == Committed()


async def test_a_duplicate_command_gives_back_its_ack(stores: Stores) -> None:
    epoch, other = await take(stores.journal, A), await take(stores.journal, B)
    first = a_command(epoch, seq=7)
    await stores.journal.commit([first])
    again = a_command(other, chunk=B, seq=9)
    assert first.command is not None
    key = (SES, CommandId("c-1"))
    known = Known(first.command, None)
    assert await stores.journal.commit([again]) == Conflict(known={key: known})
    assert await stores.accounts.known(*key) == known


async def test_a_duplicate_command_gives_back_its_result(stores: Stores) -> None:
    epoch = await take(stores.journal)
    first = a_command(epoch)
    await stores.journal.commit([first])
    await stores.journal.record([ResultFact(A, epoch, a_result())])
    assert first.command is not None
    conflict = await stores.journal.commit([a_command(epoch, ordinal=1, seq=3)])
    known = Known(first.command, a_result())
    assert conflict == Conflict(known={(SES, CommandId("c-1")): known})


async def test_an_id_may_be_used_by_another_session(journal: Journal) -> None:
    epoch = await take(journal)
    foreign = AckLine(SessionId("ses_2"), CommandId("c-1"), seq=1, tick=Tick(1))
    rows = [a_command(epoch), attrs.evolve(a_command(epoch, ordinal=1), command=foreign)]
    assert await journal.commit(rows) == Committed()


async def test_a_conflict_writes_nothing_at_all(stores: Stores) -> None:
    epoch = await take(stores.journal)
    await stores.journal.commit([a_command(epoch)])
    rows = [a_command(epoch, ordinal=1), a_command(epoch, "c-2", 2), an_arrival(epoch, ordinal=3)]
    assert isinstance(await stores.journal.commit(rows), Conflict)
    assert [row.ordinal for row in await written(stores.journal)] == [0]
    assert await stores.accounts.known(SES, CommandId("c-2")) is None
    assert await stores.journal.transfer(T1) is None


async def test_an_expired_command_is_never_written(stores: Stores) -> None:
    epoch = await take(stores.journal)
    late = attrs.evolve(a_command(epoch), expires_at_ms=now_ms() - 1)
    key = (SES, CommandId("c-1"))
    assert await stores.journal.commit([late]) == Conflict(expired=frozenset({key}))
    assert list(await written(stores.journal)) == []
    assert await stores.accounts.known(*key) is None


async def test_a_known_command_is_known_also_when_it_is_late(journal: Journal) -> None:
    epoch = await take(journal)
    await journal.commit([a_command(epoch)])
    late = attrs.evolve(a_command(epoch, ordinal=1), expires_at_ms=now_ms() - 1)
    conflict = await journal.commit([late])
    assert isinstance(conflict, Conflict)
    assert set(conflict.known) == {(SES, CommandId("c-1"))}
    assert conflict.expired == frozenset()


async def test_all_that_stands_in_the_way_is_named_at_once(journal: Journal) -> None:
    epoch = await take(journal)
    await journal.commit([a_command(epoch)])
    await journal.cancel_transfer(T1)
    late = attrs.evolve(a_command(epoch, "late", 2), expires_at_ms=now_ms() - 1)
    rows = [a_command(epoch, ordinal=1), late, an_arrival(epoch, ordinal=3)]
    conflict = await journal.commit(rows)
    assert isinstance(conflict, Conflict)
    assert set(conflict.known) == {(SES, CommandId("c-1"))}
    assert conflict.expired == {(SES, CommandId("late"))}
    assert conflict.decided == {T1: "cancelled"}


async def test_what_is_left_of_a_conflict_can_be_committed(journal: Journal) -> None:
    epoch = await take(journal)
    await journal.commit([a_command(epoch)])
    good = a_command(epoch, "c-2", 2)
    assert isinstance(await journal.commit([a_command(epoch, ordinal=1), good]), Conflict)
    assert await journal.commit([good]) == Committed()


async def test_an_ordinal_that_is_given_twice_is_a_bug(journal: Journal) -> None:
    epoch = await take(journal)
    await journal.commit([a_row(epoch, body=b"one")])
    with pytest.raises(Exception, match=r"ordinal|journal_pkey"):
        await journal.commit([a_row(epoch, body=b"another")])
    assert [row.body for row in await written(journal)] == [b"one"]


async def test_a_command_that_is_twice_in_one_batch_is_a_bug(journal: Journal) -> None:
    epoch = await take(journal)
    with pytest.raises(AssertionError):
        await journal.commit([a_command(epoch), a_command(epoch, ordinal=1)])


# Transfers: whoever writes first has decided.


async def test_an_arrival_decides_its_transfer(journal: Journal) -> None:
    assert await journal.transfer(T1) is None
    epoch = await take(journal)
    assert await journal.commit([an_arrival(epoch)]) == Committed()
    assert await journal.transfer(T1) == "admitted"


async def test_an_arrival_after_the_cancellation_is_a_conflict(journal: Journal) -> None:
    epoch = await take(journal)
    assert await journal.cancel_transfer(T1) == "cancelled"
    assert await journal.commit([an_arrival(epoch)]) == Conflict(decided={T1: "cancelled"})
    assert list(await written(journal)) == []


async def test_an_arrival_that_comes_again_is_a_conflict(journal: Journal) -> None:
    epoch = await take(journal)
    await journal.commit([an_arrival(epoch)])
    assert await journal.commit([an_arrival(epoch, ordinal=1)]) == Conflict(
        decided={T1: "admitted"}
    )


async def test_a_cancellation_after_the_arrival_says_admitted(journal: Journal) -> None:
    epoch = await take(journal)
    await journal.commit([an_arrival(epoch)])
    assert await journal.cancel_transfer(T1) == "admitted"
    assert await journal.transfer(T1) == "admitted"


async def test_a_cancellation_may_be_repeated(journal: Journal) -> None:
    assert await journal.cancel_transfer(T1) == "cancelled"
    assert await journal.cancel_transfer(T1) == "cancelled"


async def test_the_outcome_of_an_arrival_is_remembered(journal: Journal) -> None:
    epoch = await take(journal)
    await journal.commit([an_arrival(epoch, T1), an_arrival(epoch, T2, ordinal=1)])
    facts = [TransferFact(A, epoch, T1, entered=True), TransferFact(A, epoch, T2, entered=False)]
    assert await journal.record(facts) == frozenset()
    assert await journal.transfer(T1) == "entered"
    assert await journal.transfer(T2) == "refused"
    assert await journal.cancel_transfer(T1) == "entered"


async def test_an_outcome_is_final(journal: Journal) -> None:
    epoch = await take(journal)
    await journal.commit([an_arrival(epoch)])
    await journal.cancel_transfer(T2)
    await journal.record([TransferFact(A, epoch, T1, entered=True)])
    again = [TransferFact(A, epoch, T1, entered=False), TransferFact(A, epoch, T2, entered=True)]
    await journal.record(again)
    assert await journal.transfer(T1) == "entered"
    assert await journal.transfer(T2) == "cancelled"


# Drivers: a session takes an agent only while it is the agent's live one.


def over(session: SessionId, *, replaced: bool = False) -> Conflict:
    return Conflict(over={session: SessionEnded(session, replaced=replaced)})


async def open_session(stores: Stores, session: SessionId, hours_ago: float = 0) -> SessionId:
    opened_at = SystemClock().now() - timedelta(hours=hours_ago)
    await stores.accounts.open_session(a_session(session, opened_at))
    return session


async def test_a_live_session_drives(stores: Stores) -> None:
    await with_an_agent(stores.accounts)
    epoch = await take(stores.journal)
    await open_session(stores, SES)
    assert await stores.journal.commit([an_enter(epoch, SES)]) == Committed()
    assert [row.body for row in await written(stores.journal)] == [b"enter"]


async def test_a_replaced_session_drives_nobody_any_more(stores: Stores) -> None:
    await with_an_agent(stores.accounts)
    epoch = await take(stores.journal)
    older, newer = await open_session(stores, SES), await open_session(stores, SessionId("ses_2"))
    assert await stores.journal.commit([an_enter(epoch, newer)]) == Committed()
    late = an_enter(epoch, older, 1)
    assert await stores.journal.commit([late]) == over(older, replaced=True)
    await stores.accounts.end_session(newer, SystemClock().now())
    assert await stores.journal.commit([late]) == over(older)
    assert [row.ordinal for row in await written(stores.journal)] == [0]


@pytest.mark.parametrize("hours_ago", [0, 25])
async def test_a_session_that_was_ended_or_has_expired_drives_nobody(
    stores: Stores, hours_ago: int
) -> None:
    await with_an_agent(stores.accounts)
    epoch = await take(stores.journal)
    await open_session(stores, SES, hours_ago)
    if not hours_ago:
        await stores.accounts.end_session(SES, SystemClock().now())
    assert await stores.journal.commit([an_enter(epoch, SES)]) == over(SES)
    assert list(await written(stores.journal)) == []


async def test_a_revoked_key_s_session_drives_nobody(stores: Stores) -> None:
    await with_an_agent(stores.accounts)
    epoch = await take(stores.journal)
    await open_session(stores, SES)
    await stores.accounts.revoke(AGENT, f"key_{AGENT}", SystemClock().now())
    assert await stores.journal.commit([an_enter(epoch, SES)]) == over(SES)


async def test_a_session_that_nobody_knows_drives_nobody(journal: Journal) -> None:
    epoch = await take(journal)
    assert await journal.commit([an_enter(epoch, SES)]) == over(SES)


async def test_a_session_that_is_over_holds_up_the_others_and_is_named_with_them(
    stores: Stores,
) -> None:
    await with_an_agent(stores.accounts)
    epoch = await take(stores.journal)
    live = await open_session(stores, SessionId("ses_2"))
    await stores.journal.cancel_transfer(T1)
    rows = [an_enter(epoch, SES), an_enter(epoch, live, 1), an_arrival(epoch, ordinal=2)]
    conflict = await stores.journal.commit(rows)
    assert conflict == attrs.evolve(over(SES), decided={T1: "cancelled"})
    assert await stores.journal.commit([rows[1]]) == Committed()
    assert [row.ordinal for row in await written(stores.journal)] == [1]


async def test_who_drives_already_is_not_asked_again(stores: Stores) -> None:
    """Its commit is repeated because the answer was lost; meanwhile its session has ended."""
    await with_an_agent(stores.accounts)
    epoch = await take(stores.journal)
    await open_session(stores, SES)
    await stores.journal.commit([an_enter(epoch, SES)])
    await stores.accounts.end_session(SES, SystemClock().now())
    assert await stores.journal.commit([an_enter(epoch, SES)]) == Committed()


async def test_a_driver_of_a_fenced_chunk_is_not_judged(stores: Stores) -> None:
    stale = await take(stores.journal)
    await take(stores.journal)
    committed = Committed(frozenset({A}))
    assert await stores.journal.commit([an_enter(stale, SES)]) == committed


@pytest.mark.embedded
async def test_a_driver_waits_for_the_session_that_is_just_being_opened(
    database_url: str,
) -> None:
    """It sees the older session live until the newer one is committed; and must not believe it."""
    async with (
        trio_asyncio.open_loop(),
        open_postgres(database_url) as postgres,
        asyncpg_connection(database_url) as gateway,
        trio.open_nursery() as nursery,
    ):
        stores = Stores(PostgresJournal(postgres), PostgresAccounts(postgres))
        await with_an_agent(stores.accounts)
        epoch = await take(stores.journal)
        await open_session(stores, SES)
        outcomes: list[Committed | Conflict] = []

        async def enter() -> None:
            outcomes.append(await stores.journal.commit([an_enter(epoch, SES)]))

        await gateway.execute("begin")
        await gateway.execute(OPEN_SECOND)
        nursery.start_soon(enter)
        with trio.fail_after(10):
            while not outcomes and not await gateway.fetch(WAITING):
                await trio.sleep(0.01)
        assert not outcomes, "nobody waited for the newer session"
        await gateway.execute("commit")
        with trio.fail_after(10):
            while not outcomes:
                await trio.sleep(0.01)
        assert outcomes == [over(SES, replaced=True)]


@pytest.mark.embedded
async def test_a_commit_that_is_repeated_beside_its_own_first_try_counts_as_written(
    database_url: str,
) -> None:
    """The first one's answer was lost, and PostgreSQL is still at it."""
    async with (
        trio_asyncio.open_loop(),
        open_postgres(database_url) as postgres,
        asyncpg_connection(database_url) as first_try,
        trio.open_nursery() as nursery,
    ):
        journal = PostgresJournal(postgres)
        row = a_row(await take(journal))
        outcomes: list[Committed | Conflict] = []

        async def repeat() -> None:
            outcomes.append(await journal.commit([row]))

        await first_try.execute("begin")
        values = f"'{row.chunk}', {row.tick}, {row.ordinal}, {row.epoch}, '{{}}', {row.checksum}"
        await first_try.execute(
            f"insert into journal (chunk, tick, ordinal, epoch, body, checksum) values ({values})"  # noqa: S608 - our own row.
        )
        nursery.start_soon(repeat)
        with trio.fail_after(10):
            while not outcomes and not await first_try.fetch(WAITING):
                await trio.sleep(0.01)
        assert not outcomes
        await first_try.execute("commit")
        with trio.fail_after(10):
            while not outcomes:
                await trio.sleep(0.01)
        assert outcomes == [Committed()]
        assert list(await written(journal)) == [row]


OPEN_SECOND = f"""
select open_session('ses_2', '{AGENT}', 'key_{AGENT}', 't', 's', array['act'], now(),
                    now() + interval '1 day', array['r'::bytea])
"""
WAITING = "select 1 from pg_locks where not granted"


class RawConnection:
    """asyncpg's, from trio: with a transaction of its own, as another process has it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def execute(self, statement: str) -> None:
        await trio_asyncio.aio_as_trio(self._connection.execute)(statement)

    async def fetch(self, statement: str) -> Sequence[object]:
        rows: Sequence[object] = await trio_asyncio.aio_as_trio(self._connection.fetch)(statement)
        return rows


@asynccontextmanager
async def asyncpg_connection(url: str) -> AsyncIterator[RawConnection]:
    connection = await trio_asyncio.aio_as_trio(asyncpg.connect)(url)
    try:
        yield RawConnection(connection)
    finally:
        connection.terminate()


# Facts


async def with_an_agent(accounts: Accounts, agent: AgentId = AGENT) -> None:
    key = ApiKey(f"key_{agent}", agent, b"hash", "", ALL_SCOPES, NOW)
    await accounts.create(Account(agent, f"name_{agent}", NOW, A, None, None), key)


async def test_an_agent_is_where_it_was_placed_last(stores: Stores) -> None:
    await with_an_agent(stores.accounts)
    here, there = await take(stores.journal, A), await take(stores.journal, B)
    facts: list[Fact] = [
        PlacedFact(B, there, AGENT, 1, 1, present=True),
        PlacedFact(A, here, AGENT, 2, 2, present=True),
        PlacedFact(B, there, AGENT, 3, -(2**31), present=False),
    ]
    assert await stores.journal.record(facts) == frozenset()
    account = await stores.accounts.account(AGENT)
    assert account is not None
    assert (account.chunk, account.x, account.y, account.present) == (B, 3, -(2**31), False)
    assert await stores.journal.whereabouts(AGENT) == B


async def test_the_last_word_on_an_agent_is_the_last_of_a_chunk_that_is_ours(
    stores: Stores,
) -> None:
    await with_an_agent(stores.accounts)
    stale, ours = await take(stores.journal, B), await take(stores.journal, A)
    await take(stores.journal, B)
    facts: list[Fact] = [
        PlacedFact(A, ours, AGENT, 1, 1, present=True),
        PlacedFact(B, stale, AGENT, 2, 2, present=True),
    ]
    assert await stores.journal.record(facts) == {B}
    assert await stores.journal.whereabouts(AGENT) == A


async def test_an_agent_without_an_account_is_nowhere(journal: Journal) -> None:
    epoch = await take(journal)
    await journal.record([PlacedFact(A, epoch, AGENT, 1, 1, present=True)])
    assert await journal.whereabouts(AGENT) is None


async def test_a_result_is_recorded_once(stores: Stores) -> None:
    epoch = await take(stores.journal)
    await stores.journal.commit([a_command(epoch)])
    for tick in (5, 6):
        fact = ResultFact(A, epoch, a_result(tick=tick))
        assert await stores.journal.record([fact]) == frozenset()
    known = await stores.accounts.known(SES, CommandId("c-1"))
    assert known is not None
    assert known.result == a_result(tick=5)


async def test_a_result_may_come_from_another_chunk_than_the_command(stores: Stores) -> None:
    epoch, there = await take(stores.journal, A), await take(stores.journal, B)
    await stores.journal.commit([a_command(epoch)])
    await take(stores.journal, A)
    result = attrs.evolve(a_result(), chunk=B, reason=None)
    assert await stores.journal.record([ResultFact(B, there, result)]) == frozenset()
    known = await stores.accounts.known(SES, CommandId("c-1"))
    assert known is not None
    assert known.result == result


async def test_a_session_s_history_is_in_order_and_after_a_seq(stores: Stores) -> None:
    epoch = await take(stores.journal)
    acks = [a_command(epoch, "z", 0, seq=1), a_command(epoch, "a", 1, seq=2)]
    acks.append(a_command(epoch, "m", 2, seq=4))
    await stores.journal.commit(acks)
    await stores.journal.record([ResultFact(A, epoch, a_result("a", seq=3))])
    lines = [acks[0].command, acks[1].command, a_result("a", seq=3), acks[2].command]
    assert list(await stores.accounts.history(SES, 0)) == lines
    assert list(await stores.accounts.history(SES, 2)) == lines[2:]
    assert list(await stores.accounts.history(SES, 4)) == []


async def test_recording_nothing_is_nothing(journal: Journal) -> None:
    assert await journal.record([]) == frozenset()


# Snapshots


async def test_a_snapshot_covers_the_journal_up_to_its_tick(journal: Journal) -> None:
    epoch = await take(journal)
    await journal.commit([a_row(epoch, tick=tick) for tick in (1, 2, 3)])
    assert await journal.save([a_snapshot(epoch, 2)], frozenset()) == frozenset()
    assert [row.tick for row in await written(journal)] == [3]


async def test_what_a_snapshot_covers_is_never_replayed(journal: Journal) -> None:
    epoch = await take(journal)
    await journal.save([a_snapshot(epoch, 5)], frozenset({A}))
    await journal.commit([a_row(epoch, tick=5)])
    assert list(await journal.chunks()) == []
    assert list(await written(journal)) == []


async def test_a_snapshot_does_not_touch_another_chunk_s_journal(journal: Journal) -> None:
    epoch, other = await take(journal, A), await take(journal, B)
    await journal.commit([a_row(epoch), a_row(other, chunk=B)])
    await journal.save([a_snapshot(epoch, 5)], frozenset())
    assert len(await written(journal, B)) == 1


async def test_a_late_snapshot_takes_nothing_back(journal: Journal) -> None:
    epoch = await take(journal)
    await journal.save([a_snapshot(epoch, 5, state=b"new")], frozenset())
    assert await journal.save([a_snapshot(epoch, 4, state=b"old")], frozenset()) == frozenset()
    (taken,) = await journal.take([A], "shard-2")
    assert (taken.tick, taken.state) == (5, b"new")


async def test_a_snapshot_replaces_the_one_before(journal: Journal) -> None:
    epoch = await take(journal)
    await journal.save([a_snapshot(epoch, 5, state=b"old")], frozenset())
    await journal.save([a_snapshot(epoch, 6, state=b"new")], frozenset())
    (taken,) = await journal.take([A], "shard-2")
    assert (taken.tick, taken.state) == (6, b"new")


async def test_only_chunks_with_somebody_inside_or_a_journal_are_listed(journal: Journal) -> None:
    full, empty, busy = [await take(journal, chunk) for chunk in (A, B, C)]
    await take(journal, ChunkId("9:9"))
    await journal.save([a_snapshot(full, 5)], frozenset({B}))
    await journal.save([a_snapshot(empty, 5, chunk=B)], frozenset({A, B}))
    await journal.commit([a_row(busy, chunk=C)])
    assert list(await journal.chunks()) == [C, A]
    await journal.save([a_snapshot(busy, 1, chunk=C)], frozenset({C}))
    await journal.save([a_snapshot(full, 6)], frozenset({A}))
    assert list(await journal.chunks()) == []
    await journal.commit([a_row(full, tick=7)])
    assert list(await journal.chunks()) == [A]


async def test_what_was_saved_empty_and_is_not_yet_collected_is_left_over(
    journal: Journal,
) -> None:
    full, empty = await take(journal, A), await take(journal, B)
    await take(journal, C)
    await journal.save([a_snapshot(full, 5)], frozenset())
    await journal.save([a_snapshot(empty, 5, chunk=B)], frozenset({B}))
    assert list(await journal.leftovers()) == [B]
    await journal.collect([Retired(B, empty, Tick(6))])
    assert list(await journal.leftovers()) == []


# The end of a chunk


async def test_a_collected_chunk_begins_anew_where_its_time_ended(journal: Journal) -> None:
    epoch = await take(journal)
    await journal.commit([a_row(epoch, tick=3), a_row(epoch, tick=9)])
    await journal.save([a_snapshot(epoch, 7)], frozenset({A}))
    assert await journal.collect([Retired(A, epoch, Tick(20))]) == frozenset()
    assert await journal.generation(A) == (2, 20)
    (taken,) = await journal.take([A], "shard-2")
    assert taken == Taken(A, taken.epoch, 2, Tick(20), None, None, ())
    assert taken.epoch > epoch


async def test_a_new_generation_lives_like_the_first(journal: Journal) -> None:
    await journal.collect([Retired(A, await take(journal), Tick(20))])
    epoch = await take(journal)
    await journal.commit([a_row(epoch, tick=21)])
    assert list(await journal.chunks()) == [A]
    await journal.save([a_snapshot(epoch, 21)], frozenset())
    await journal.commit([a_row(epoch, tick=22)])
    assert await journal.generation(A) == (2, 22)
    (taken,) = await journal.take([A], "shard-2")
    assert (taken.generation, taken.tick, [row.tick for row in taken.rows]) == (2, 21, [22])


async def test_a_stale_epoch_collects_nothing(journal: Journal) -> None:
    stale = await take(journal)
    await journal.save([a_snapshot(stale, 7)], frozenset({A}))
    await take(journal)
    other = await take(journal, B)
    gone = [Retired(A, stale, Tick(20)), Retired(B, other, Tick(30)), Retired(C, other, Tick(1))]
    assert await journal.collect(gone) == {A, C}
    assert await journal.generation(A) == (1, 7)
    assert await journal.generation(B) == (2, 30)


async def test_a_chunk_with_an_input_to_come_is_not_collected(journal: Journal) -> None:
    epoch = await take(journal)
    await journal.commit([a_row(epoch, tick=21)])
    assert await journal.collect([Retired(A, epoch, Tick(20))]) == {A}
    assert [row.tick for row in await written(journal)] == [21]


async def test_a_collection_may_be_repeated(journal: Journal) -> None:
    retired = [Retired(A, await take(journal), Tick(20))]
    for _ in range(3):
        assert await journal.collect(retired) == frozenset()
    assert await journal.generation(A) == (2, 20)


async def test_what_was_long_under_way_comes_too_late_for_a_collected_chunk(
    stores: Stores,
) -> None:
    journal = stores.journal
    epoch = await take(journal)
    await journal.save([a_snapshot(epoch, 7)], frozenset({A}))
    await journal.collect([Retired(A, epoch, Tick(20))])

    assert await journal.save([a_snapshot(epoch, 7)], frozenset()) == {A}
    assert await journal.commit([a_row(epoch, tick=21)]) == Committed(frozenset({A}))
    assert await journal.record([TransferFact(A, epoch, T1, entered=True)]) == {A}

    (taken,) = await journal.take([A], "shard-2")
    assert taken == Taken(A, taken.epoch, 2, Tick(20), None, None, ())


async def test_a_late_repetition_does_not_end_the_next_generation(journal: Journal) -> None:
    retired = [Retired(A, await take(journal), Tick(20))]
    await journal.collect(retired)
    epoch = await take(journal)
    await journal.commit([a_row(epoch, tick=21)])
    assert await journal.collect(retired) == frozenset()
    assert [row.tick for row in await written(journal)] == [21]
    await journal.collect([Retired(A, await take(journal), Tick(30))])
    assert await journal.collect(retired) == {A}
    assert await journal.generation(A) == (3, 30)


async def test_collecting_touches_no_other_chunk(journal: Journal) -> None:
    epoch, other = await take(journal), await take(journal, B)
    await journal.save([a_snapshot(other, 7, chunk=B)], frozenset())
    await journal.commit([a_row(other, chunk=B, tick=8)])
    await journal.collect([Retired(A, epoch, Tick(20))])
    assert await journal.generation(B) == (1, 8)
    (taken,) = await journal.take([B], "shard-2")
    assert (taken.state, len(taken.rows)) == (b"s", 1)


async def test_collecting_nothing_is_nothing(journal: Journal) -> None:
    assert await journal.collect([]) == frozenset()


async def test_a_ping_is_answered(journal: Journal) -> None:
    await journal.ping()


# Forgetting


async def prune(journal: Journal) -> int:
    assert isinstance(journal, MemoryJournal | PostgresJournal)
    return await journal.prune()


def a_session(session: SessionId, opened_at: datetime) -> Session:
    """Good for a day."""
    return Session(
        session, AGENT, f"key_{AGENT}", b"t", b"s", ALL_SCOPES,
        opened_at, opened_at + timedelta(hours=24), (b"r",),
    )  # fmt: skip


async def test_a_session_and_its_commands_are_remembered_for_a_day(stores: Stores) -> None:
    await with_an_agent(stores.accounts)
    now = SystemClock().now()
    ages = {"first": 49, "second": 30, "kept": 28}  # Hours. Each ends the one before.
    for name, hours in ages.items():
        await stores.accounts.open_session(a_session(SessionId(name), now - timedelta(hours=hours)))
    await stores.accounts.end_session(SessionId("kept"), now - timedelta(hours=23))
    epoch = await take(stores.journal)
    for n, name in enumerate(ages):
        line = AckLine(SessionId(name), CommandId("c-1"), seq=1, tick=Tick(1))
        await stores.journal.commit([attrs.evolve(a_command(epoch, ordinal=n), command=line)])
    assert await prune(stores.journal) == 4
    for name in ages:
        kept = name == "kept"
        assert (await stores.accounts.session(SessionId(name)) is not None) == kept
        assert (await stores.accounts.known(SessionId(name), CommandId("c-1")) is not None) == kept
    assert await prune(stores.journal) == 0
