"""The ways in which the memory adapters fail when a test asks for it, and their clock."""

from __future__ import annotations

import pytest

from common.adapters.clock import TrioClock
from common.adapters.memory_accounts import MemoryAccounts
from common.adapters.memory_journal import MemoryJournal
from common.adapters.memory_postgres import MemoryPostgres
from common.errors import InDoubt, Unavailable
from common.grid import AgentId, ChunkId, Epoch, Tick, TransferId
from common.journal import Committed, Row

A = ChunkId("0:0")


@pytest.fixture
def postgres() -> MemoryPostgres:
    return MemoryPostgres(TrioClock().now_ms)


@pytest.fixture
def journal(postgres: MemoryPostgres) -> MemoryJournal:
    return MemoryJournal(postgres)


async def an_input(journal: MemoryJournal) -> Row:
    (taken,) = await journal.take([A], "shard-1")
    return Row(A, taken.epoch, Tick(1), 0, b"{}")


async def rows(journal: MemoryJournal) -> int:
    return len((await journal.take([A], "reader"))[0].rows)


async def test_nothing_is_done_while_it_is_down(
    postgres: MemoryPostgres, journal: MemoryJournal
) -> None:
    row = await an_input(journal)
    postgres.down = True
    with pytest.raises(Unavailable):
        await journal.commit([row])
    with pytest.raises(Unavailable):
        await journal.cancel_transfer(TransferId("trf_1"))
    with pytest.raises(Unavailable):
        await MemoryAccounts(postgres).account(AgentId("agt_1"))
    postgres.down = False
    assert await journal.transfer(TransferId("trf_1")) is None
    assert await rows(journal) == 0


async def test_a_commit_in_doubt_may_have_been_written(
    postgres: MemoryPostgres, journal: MemoryJournal
) -> None:
    row = await an_input(journal)
    postgres.commit_doubt = "written"
    with pytest.raises(InDoubt):
        await journal.commit([row])
    assert await journal.commit([row]) == Committed()
    assert await rows(journal) == 1


async def test_a_commit_in_doubt_may_have_been_lost(
    postgres: MemoryPostgres, journal: MemoryJournal
) -> None:
    row = await an_input(journal)
    postgres.commit_doubt = "lost"
    with pytest.raises(InDoubt):
        await journal.commit([row])
    assert await rows(journal) == 0


async def test_a_transfer_is_forgotten_after_an_hour_when_every_chunk_has_gone_on() -> None:
    now_ms = 0
    postgres = MemoryPostgres(lambda: now_ms)
    journal = MemoryJournal(postgres)
    await journal.cancel_transfer(TransferId("old"))
    row = await an_input(journal)
    await journal.commit([row])
    now_ms = 2 * 3_600_000
    # The chunk was never saved: a traveller may stand frozen in its journal.
    assert await journal.prune() == 0
    postgres.chunks[A].journal.clear()
    assert await journal.prune() == 1
    assert await journal.transfer(TransferId("old")) is None


async def test_epochs_start_above_the_one_that_nobody_holds(journal: MemoryJournal) -> None:
    assert (await an_input(journal)).epoch > Epoch(0)
