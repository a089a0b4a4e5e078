"""What is kept for replays, on memory and on PostgreSQL."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import attrs
import pytest
import trio_asyncio

from common.adapters import memory_history, postgres_history
from common.adapters.clock import SystemClock
from common.adapters.memory_journal import MemoryJournal
from common.adapters.memory_postgres import MemoryPostgres
from common.adapters.postgres import open_postgres
from common.adapters.postgres_journal import PostgresJournal
from common.envelopes import AckLine
from common.grid import ChunkId, CommandId, Epoch, SessionId, Tick
from common.journal import Committed, History, Retired, Row, Snapshot
from common.limits import PAST_SNAPSHOTS_MAX
from shard.ports import Journal

A, B = ChunkId("0:0"), ChunkId("1:0")


@attrs.frozen
class Kept:
    journal: Journal
    read: Callable[[ChunkId], Awaitable[History | None]]

    async def history(self, chunk: ChunkId = A) -> History:
        history = await self.read(chunk)
        assert history is not None
        return history


@pytest.fixture(params=["memory", pytest.param("embedded", marks=pytest.mark.embedded)])
def url(request: pytest.FixtureRequest) -> str | None:
    if request.param == "memory":
        return None
    database_url: str = request.getfixturevalue("database_url")
    return database_url


@pytest.fixture
async def kept(url: str | None) -> AsyncIterator[Kept]:
    if url is None:
        memory = MemoryPostgres(SystemClock().now_ms)
        yield Kept(MemoryJournal(memory), partial(memory_history.read_history, memory))
    else:
        async with trio_asyncio.open_loop(), open_postgres(url) as postgres:
            read = partial(postgres_history.read_history, postgres)
            yield Kept(PostgresJournal(postgres), read)


async def take(journal: Journal, chunk: ChunkId = A) -> Epoch:
    (taken,) = await journal.take([chunk], "shard-1")
    return taken.epoch


def a_row(epoch: Epoch, tick: int, ordinal: int = 0, chunk: ChunkId = A) -> Row:
    return Row(chunk, epoch, Tick(tick), ordinal, b"%d/%d" % (tick, ordinal))


def a_snapshot(epoch: Epoch, tick: int, chunk: ChunkId = A) -> Snapshot:
    return Snapshot(chunk, epoch, Tick(tick), b"state of %d" % tick, f"digest of {tick}")


async def test_a_chunk_that_was_never_made_has_none(kept: Kept) -> None:
    assert await kept.read(A) is None


async def test_without_a_snapshot_it_goes_back_to_the_chunk_s_making(kept: Kept) -> None:
    epoch = await take(kept.journal)
    rows = [a_row(epoch, 10), a_row(epoch, 2, 1), a_row(epoch, 2)]
    await kept.journal.commit(rows)
    history = await kept.history()
    assert history == History(A, 1, Tick(0), (), (rows[2], rows[1], rows[0]))
    assert (history.first, history.last) == (0, 10)


async def test_the_digest_and_the_checksum_of_a_row_are_what_was_written(kept: Kept) -> None:
    epoch = await take(kept.journal)
    row = attrs.evolve(a_row(epoch, 2**40), digest="the state before", checksum=2**32 - 1)
    await kept.journal.commit([row, a_row(epoch, 2**40, 1)])
    found, other = (await kept.history()).rows
    assert found == row
    assert not found.is_intact
    assert (other.digest, other.checksum) == (None, zlib.crc32(other.body))
    assert other.is_intact


async def test_it_says_nothing_of_commands(kept: Kept) -> None:
    epoch = await take(kept.journal)
    row = a_row(epoch, 3)
    ack = AckLine(SessionId("ses_1"), CommandId("c-1"), seq=1, tick=Tick(3))
    expires_at_ms = SystemClock().now_ms() + 60_000
    await kept.journal.commit([attrs.evolve(row, command=ack, expires_at_ms=expires_at_ms)])
    assert (await kept.history()).rows == (row,)


async def test_older_snapshots_stay_with_the_journal_since(kept: Kept) -> None:
    epoch = await take(kept.journal)
    await kept.journal.commit([a_row(epoch, tick) for tick in (4, 5, 6, 9, 10, 11)])
    for tick in (5, 10):
        await kept.journal.save([a_snapshot(epoch, tick)], frozenset())
    history = await kept.history()
    assert history.snapshots == (a_snapshot(epoch, 5), a_snapshot(epoch, 10))
    assert [row.tick for row in history.rows] == [6, 9, 10, 11]
    assert (history.first, history.last) == (5, 11)


async def test_so_many_are_kept_and_no_more(kept: Kept) -> None:
    epoch, other = await take(kept.journal), await take(kept.journal, B)
    ticks = range(10, 10 * (PAST_SNAPSHOTS_MAX + 5), 10)
    await kept.journal.commit([a_row(other, 1, chunk=B)])
    for tick in ticks:
        await kept.journal.commit([a_row(epoch, tick), a_row(epoch, tick + 1)])
        await kept.journal.save([a_snapshot(epoch, tick)], frozenset())
    history = await kept.history()
    left = ticks[-PAST_SNAPSHOTS_MAX - 1 :]
    assert [snapshot.tick for snapshot in history.snapshots] == list(left)
    assert history.rows[0].tick == left[0] + 1
    assert len(history.rows) == 2 * len(left) - 1
    assert len((await kept.history(B)).rows) == 1


async def test_a_snapshot_that_comes_again_or_late_is_not_kept_twice(kept: Kept) -> None:
    epoch = await take(kept.journal)
    for tick in (5, 5, 10, 10, 7):
        await kept.journal.save([a_snapshot(epoch, tick)], frozenset())
    assert [snapshot.tick for snapshot in (await kept.history()).snapshots] == [5, 10]


async def test_a_stale_epoch_moves_nothing_into_the_past(kept: Kept) -> None:
    stale = await take(kept.journal)
    await kept.journal.commit([a_row(stale, 6)])
    await kept.journal.save([a_snapshot(stale, 5)], frozenset())
    await take(kept.journal)
    assert await kept.journal.save([a_snapshot(stale, 10)], frozenset()) == {A}
    history = await kept.history()
    assert [snapshot.tick for snapshot in history.snapshots] == [5]
    assert [row.tick for row in history.rows] == [6]


async def test_reading_it_takes_nothing_from_the_owner(kept: Kept) -> None:
    epoch = await take(kept.journal)
    await kept.history()
    assert await kept.journal.save([a_snapshot(epoch, 5)], frozenset()) == frozenset()


async def test_what_is_kept_is_never_replayed_in_a_recovery(kept: Kept) -> None:
    epoch = await take(kept.journal)
    for tick in (5, 10):
        await kept.journal.commit([a_row(epoch, tick)])
        await kept.journal.save([a_snapshot(epoch, tick)], frozenset({A}))
    await kept.journal.commit([a_row(epoch, 7)])
    assert list(await kept.journal.chunks()) == []
    with_digest = attrs.evolve(a_row(epoch, 11), digest="d")
    assert await kept.journal.commit([with_digest]) == Committed()
    (taken,) = await kept.journal.take([A], "shard-2")
    assert (taken.tick, taken.rows) == (10, (a_row(epoch, 11),))
    assert await kept.journal.generation(A) == (1, 11)


async def test_of_a_collected_chunk_nothing_is_kept_but_when_it_began_anew(kept: Kept) -> None:
    epoch, other = await take(kept.journal), await take(kept.journal, B)
    for tick in (5, 10, 15):
        await kept.journal.commit([a_row(epoch, tick - 1), a_row(other, tick - 1, chunk=B)])
        await kept.journal.save([a_snapshot(epoch, tick), a_snapshot(other, tick, B)], frozenset())
    await kept.journal.collect([Retired(A, epoch, Tick(40)), Retired(B, Epoch(epoch), Tick(40))])
    assert await kept.history() == History(A, 2, Tick(40), (), ())
    assert [one.tick for one in (await kept.history(B)).snapshots] == [5, 10, 15]


async def test_a_chunk_that_came_back_goes_back_to_where_it_began_anew(kept: Kept) -> None:
    first = await take(kept.journal)
    await kept.journal.commit([a_row(first, 4)])
    await kept.journal.save([a_snapshot(first, 5)], frozenset())
    await kept.journal.collect([Retired(A, first, Tick(40))])
    epoch = await take(kept.journal)
    await kept.journal.commit([a_row(epoch, 42)])
    history = await kept.history()
    assert history == History(A, 2, Tick(40), (), (a_row(epoch, 42),))
    assert (history.first, history.last) == (40, 42)
    await kept.journal.save([a_snapshot(epoch, 50)], frozenset())
    await kept.journal.save([a_snapshot(epoch, 60)], frozenset())
    assert [one.tick for one in (await kept.history()).snapshots] == [50, 60]
