"""What only a real PostgreSQL can do to us: go away, keep us waiting, and let two in at once."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import pytest
import trio
import trio_asyncio
from trio_asyncio import aio_as_trio

from common.accounts import ALL_SCOPES, Account, ApiKey, Session
from common.adapters import postgres as postgres_module
from common.adapters.clock import SystemClock
from common.adapters.postgres import SCHEMA_VERSION, Postgres, connect, open_postgres
from common.adapters.postgres_accounts import PostgresAccounts
from common.adapters.postgres_journal import PostgresJournal
from common.envelopes import AckLine
from common.errors import InDoubt, Misconfigured, Unavailable
from common.grid import AgentId, ChunkId, CommandId, Epoch, SessionId, Tick, TransferId
from common.journal import Committed, Conflict, Row, Taken
from common.limits import POSTGRES_FAILURES_MAX
from ops.embedded import postgres as embedded
from ops.embedded.launch import Launch
from ops.migrate import steps

pytestmark = pytest.mark.embedded

A, B = ChunkId("0:0"), ChunkId("1:0")
DIE = "select pg_terminate_backend(pg_backend_pid())"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def postgres(database_url: str) -> AsyncIterator[Postgres]:
    async with trio_asyncio.open_loop(), open_postgres(database_url) as postgres:
        yield postgres


@pytest.fixture
async def lonely(database_url: str) -> AsyncIterator[Postgres]:
    """With one connection: whoever breaks it is found out."""
    async with trio_asyncio.open_loop(), open_postgres(database_url, 1) as postgres:
        yield postgres


async def answers(postgres: Postgres) -> bool:
    return [row[0] for row in await postgres.read("asking", "select 1")] == [1]


# Errors, each as one of our words


async def test_a_write_whose_connection_is_lost_is_in_doubt(lonely: Postgres) -> None:
    with pytest.raises(InDoubt, match="dying"):
        await lonely.write("dying", DIE)
    assert await answers(lonely)


async def test_a_read_whose_connection_is_lost_is_unavailable(lonely: Postgres) -> None:
    with pytest.raises(Unavailable, match="dying"):
        await lonely.read("dying", DIE)
    assert await answers(lonely)


async def test_a_connection_lost_while_idle_is_not_used_again(
    lonely: Postgres, database_url: str
) -> None:
    ((pid,),) = await lonely.read("asking", "select pg_backend_pid()")
    async with open_postgres(database_url) as other:
        await other.read("killing", "select pg_terminate_backend($1, 5000)", pid)
    with trio.fail_after(5):
        while not lonely._idle[0].is_closed():  # Until the news has come in.
            await trio.sleep(0.005)
    assert [row[0] for row in await lonely.write("asking", "select 1")] == [1]


@pytest.mark.parametrize("code", ["40P01", "40001", "53100", "57014", "25006"])
async def test_what_the_server_rolled_back_was_not_done(lonely: Postgres, code: str) -> None:
    with pytest.raises(Unavailable, match="gave it up"):
        await lonely.write("trying", f"do $$ begin raise sqlstate '{code}'; end $$")
    assert await answers(lonely)


async def test_a_bug_is_not_called_trouble(lonely: Postgres) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        await lonely.write("trying", "select * from nothing")
    with pytest.raises(asyncpg.DataError):
        await lonely.write("trying", "select $1::int", "not a number")
    assert await answers(lonely)


async def test_a_write_that_takes_too_long_is_in_doubt(
    lonely: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_module, "POSTGRES_SECONDS_MAX", 0.1)
    with pytest.raises(InDoubt, match="no answer"):
        await lonely.write("sleeping", "select pg_sleep(60)")
    monkeypatch.undo()
    assert await answers(lonely)


async def test_who_finds_no_connection_free_in_time_has_done_nothing(
    lonely: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lonely.read, "sleeping", "select pg_sleep(60)")
        await trio.testing.wait_all_tasks_blocked()
        monkeypatch.setattr(postgres_module, "POSTGRES_SECONDS_MAX", 0.05)
        with pytest.raises(Unavailable, match="too busy"):
            await lonely.write("trying", "create table never (n int)")
        nursery.cancel_scope.cancel()
    monkeypatch.undo()
    assert await answers(lonely)


async def test_a_cancelled_call_leaves_no_broken_connection_behind(lonely: Postgres) -> None:
    for _ in range(10):  # More than the breaker forgives, too: a cancelled call is no failure.
        with trio.move_on_after(0.01) as scope:
            await lonely.read("sleeping", "select pg_sleep(60)")
        assert scope.cancelled_caught
        assert await answers(lonely)


async def test_a_call_to_a_backend_that_hangs_is_given_up_at_once(lonely: Postgres) -> None:
    ((pid,),) = await lonely.read("asking", "select pg_backend_pid()")
    os.kill(pid, signal.SIGSTOP)
    try:
        with trio.move_on_after(0.01):
            await lonely.read("asking", "select 1")
        with trio.fail_after(3):  # Less than a call may take: nobody waits for that backend.
            assert await answers(lonely)
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_after_some_failures_in_a_row_nobody_asks_for_a_while(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_module, "POSTGRES_PAUSE_SECONDS", 0.2)
    async with trio_asyncio.open_loop(), open_postgres(database_url) as postgres:
        for _ in range(POSTGRES_FAILURES_MAX):
            with pytest.raises(InDoubt):
                await postgres.write("dying", DIE)
        with pytest.raises(Unavailable, match="in a row"):
            await postgres.write("asking", "select 1")
        await wait_until_it_answers(postgres)


async def test_the_first_burst_after_an_outage_waits_for_the_one_that_looks(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_module, "POSTGRES_PAUSE_SECONDS", 0.05)
    async with trio_asyncio.open_loop(), open_postgres(database_url) as postgres:
        for _ in range(POSTGRES_FAILURES_MAX):
            with pytest.raises(InDoubt):
                await postgres.write("dying", DIE)
        await trio.sleep(0.1)
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(answers, postgres)


async def test_a_call_cancelled_before_it_began_costs_nothing(lonely: Postgres) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await lonely.read("asking", "select 1")
    assert scope.cancelled_caught
    assert await answers(lonely)


async def test_more_calls_than_connections_take_turns(postgres: Postgres) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(answers, postgres)
    ((count,),) = await postgres.read(
        "counting", "select count(*) from pg_stat_activity where datname = current_database()"
    )
    assert count == 4


async def test_committing_never_scans_a_table(lonely: Postgres) -> None:
    """Plans are made when the tables are empty, and would stay when they have grown."""
    journal = PostgresJournal(lonely)
    (taken,) = await journal.take([A], "shard-1")
    for tick in range(1, 10):  # Enough for the server to settle on one plan.
        await journal.commit([_command(taken.epoch, f"{tick}-{n}", tick, n) for n in range(300)])
    await lonely.read("telling", "select pg_stat_force_next_flush()")
    scans = await lonely.read(
        "counting",
        "select relname, seq_scan from pg_stat_user_tables"
        " where relname in ('chunk', 'command', 'journal', 'transfer') order by relname",
    )
    assert [tuple(row) for row in scans] == [
        ("chunk", 0), ("command", 0), ("journal", 0), ("transfer", 0)
    ]  # fmt: skip


def _command(epoch: Epoch, id: str, tick: int, ordinal: int, chunk: ChunkId = A) -> Row:
    ack = AckLine(SessionId("ses_1"), CommandId(id), seq=ordinal + 1, tick=Tick(tick))
    expires_at_ms = SystemClock().now_ms() + 60_000
    return Row(chunk, epoch, Tick(tick), ordinal, b"{}", ack, expires_at_ms)


# Two at once: the one who comes second waits for the first, and then sees what it did


@asynccontextmanager
async def transaction(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Somebody else, in the middle of something; committed at the end."""
    connection = await connect(url)
    try:
        await aio_as_trio(connection.execute)("begin")
        yield connection
        await aio_as_trio(connection.execute)("commit")
    finally:
        connection.terminate()


async def wait_until_one_waits(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Until some call of ours waits for a lock of ``connection``."""
    with trio.fail_after(5):
        while not await aio_as_trio(connection.fetchval)(
            "select count(*) from pg_locks where not granted"
            " and pg_backend_pid() = any (pg_blocking_pids(pid))"
        ):
            await trio.lowlevel.checkpoint()


COMMIT_ONE = """
    select * from journal_commit(
        array[$1], array[$2::bigint], array[1::bigint], array[0], array['{}'::bytea],
        array[$3], array[$4], array[1::bigint], array[1::bigint], array[null::bigint], array[$5],
        array[null::text], array[null::bigint], array[null::text]
    )
"""


async def test_a_taker_waits_for_a_commit_in_flight_and_gets_its_rows(
    postgres: Postgres, database_url: str
) -> None:
    journal = PostgresJournal(postgres)
    (before,) = await journal.take([A], "shard-1")
    taken: list[Taken] = []

    async def take() -> None:
        taken.extend(await journal.take([A, B], "shard-2"))

    async with trio.open_nursery() as nursery, transaction(database_url) as committer:
        await aio_as_trio(committer.fetch)(COMMIT_ONE, A, before.epoch, None, None, None)
        nursery.start_soon(take)
        await wait_until_one_waits(committer)
        assert taken == []
    assert [(t.chunk, len(t.rows)) for t in taken] == [(A, 1), (B, 0)]


async def test_a_commit_that_waited_for_a_taker_writes_nothing(
    postgres: Postgres, database_url: str
) -> None:
    journal = PostgresJournal(postgres)
    (before,) = await journal.take([A], "shard-1")
    outcomes = []

    async def commit() -> None:
        outcomes.append(await journal.commit([_command(before.epoch, "c-1", 1, 0)]))

    async with trio.open_nursery() as nursery, transaction(database_url) as taker:
        await aio_as_trio(taker.fetch)("select * from take_chunks($1, 'shard-2')", [A])
        nursery.start_soon(commit)
        await wait_until_one_waits(taker)
    assert outcomes == [Committed(frozenset({A}))]
    assert (await journal.take([A], "shard-3"))[0].rows == ()


async def test_a_command_admitted_in_two_places_at_once_is_admitted_in_one(
    postgres: Postgres, database_url: str
) -> None:
    journal = PostgresJournal(postgres)
    a, b = await journal.take([A, B], "shard-1")
    assert (a.chunk, b.chunk) == (A, B)
    outcomes = []

    async def commit() -> None:
        outcomes.append(await journal.commit([_command(b.epoch, "c-1", 1, 0, chunk=B)]))

    async with trio.open_nursery() as nursery, transaction(database_url) as other:
        await aio_as_trio(other.fetch)(COMMIT_ONE, A, a.epoch, "ses_1", "c-1", None)
        nursery.start_soon(commit)
        await wait_until_one_waits(other)
    (conflict,) = outcomes
    assert isinstance(conflict, Conflict)
    assert set(conflict.known) == {(SessionId("ses_1"), CommandId("c-1"))}
    assert len((await journal.take([B], "shard-3"))[0].rows) == 0


async def test_an_arrival_that_waited_for_a_cancellation_is_a_conflict(
    postgres: Postgres, database_url: str
) -> None:
    journal = PostgresJournal(postgres)
    (taken,) = await journal.take([A], "shard-1")
    outcomes = []

    async def arrive() -> None:
        row = Row(A, taken.epoch, Tick(1), 0, b"", transfer=TransferId("trf_1"))
        outcomes.append(await journal.commit([row]))

    async with trio.open_nursery() as nursery, transaction(database_url) as canceller:
        await aio_as_trio(canceller.fetch)("select cancel_transfer('trf_1')")
        nursery.start_soon(arrive)
        await wait_until_one_waits(canceller)
    assert outcomes == [Conflict(decided={TransferId("trf_1"): "cancelled"})]


async def test_a_cancellation_that_waited_for_an_arrival_says_admitted(
    postgres: Postgres, database_url: str
) -> None:
    journal = PostgresJournal(postgres)
    (taken,) = await journal.take([A], "shard-1")
    states = []

    async def cancel() -> None:
        states.append(await journal.cancel_transfer(TransferId("trf_1")))

    async with trio.open_nursery() as nursery, transaction(database_url) as committer:
        await aio_as_trio(committer.fetch)(COMMIT_ONE, A, taken.epoch, None, None, "trf_1")
        nursery.start_soon(cancel)
        await wait_until_one_waits(committer)
    assert states == ["admitted"]


async def test_two_takers_of_the_same_chunks_do_not_lock_each_other_out(
    postgres: Postgres,
) -> None:
    journal = PostgresJournal(postgres)
    many = [ChunkId(f"{n}:0") for n in range(100)]
    async with trio.open_nursery() as nursery:
        for n in range(4):
            nursery.start_soon(journal.take, many[::-1] if n % 2 else many, f"shard-{n}")
    assert len(await journal.take(many, "last")) == 100


async def test_a_session_opened_while_its_key_is_revoked_is_dead(
    postgres: Postgres, database_url: str
) -> None:
    accounts = PostgresAccounts(postgres)
    agent, ses = AgentId("agt_1"), SessionId("ses_1")
    await accounts.create(
        Account(agent, "Ada", NOW, A, None, None),
        ApiKey("key1", agent, b"h", "", ALL_SCOPES, NOW),
    )
    session = Session(ses, agent, "key1", b"t", b"s", ALL_SCOPES, NOW, NOW, (b"r",))
    async with trio.open_nursery() as nursery, transaction(database_url) as revoker:
        await aio_as_trio(revoker.fetch)("select revoke_key($1, 'key1', $2)", agent, NOW)
        nursery.start_soon(accounts.open_session, session)
        await wait_until_one_waits(revoker)
    kept = await accounts.session(ses)
    assert kept is not None
    assert kept.ended_at == NOW


# Forgetting transfers: never one that somebody may still ask about


async def test_a_transfer_is_forgotten_after_an_hour_when_every_chunk_has_gone_on(
    postgres: Postgres,
) -> None:
    journal = PostgresJournal(postgres)
    await journal.cancel_transfer(TransferId("recent"))
    await journal.cancel_transfer(TransferId("old"))
    await postgres.write(
        "aging", "update transfer set decided_at = now() - interval '2 hours' where id = 'old'"
    )
    # A chunk that was last saved before, with a traveller frozen in it for all we know:
    await postgres.write(
        "saving",
        "insert into snapshot values ('0:0', 1, 1, '', '', false, now() - interval '115 minutes')",
    )
    await journal.take([A], "shard-1")
    assert await journal.prune() == 0
    await postgres.write("saving", "update snapshot set saved_at = now()")
    assert await journal.prune() == 1
    assert await journal.transfer(TransferId("old")) is None
    assert await journal.transfer(TransferId("recent")) == "cancelled"


# The server comes and goes


@contextmanager
def started(launch: Launch) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        launch.argv, user=launch.user, group=launch.user, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(launch.stop_signal)
            try:
                process.wait(10)
            finally:
                process.kill()  # Nothing, if it has ended.


async def wait_until_it_answers(postgres: Postgres) -> None:
    with trio.fail_after(15):
        while True:
            try:
                await postgres.read("asking", "select 1")
            except Unavailable:
                await trio.sleep(0.02)
            else:
                return


async def test_a_server_that_was_stopped_is_unavailable_until_it_is_back() -> None:
    with TemporaryDirectory(prefix="tessera-") as folder:
        launch = embedded.prepare(Path(folder))
        async with trio_asyncio.open_loop():
            # Not there yet: no reason not to start.
            async with open_postgres(launch.url) as postgres:
                with pytest.raises(Unavailable, match="can't be reached"):
                    await postgres.write("trying", "select 1")
                with started(launch):
                    await wait_until_it_answers(postgres)
                for _ in range(10):  # The breaker opens meanwhile, and says the same.
                    with pytest.raises(Unavailable):
                        await postgres.read("trying", "select 1")
                with started(launch):
                    await wait_until_it_answers(postgres)


async def test_a_wrong_password_is_said_at_once(database_url: str) -> None:
    wrong = database_url.replace("postgres:", "postgres:wrong", 1)
    async with trio_asyncio.open_loop():
        with pytest.raises(Misconfigured, match="password"):
            async with open_postgres(wrong):
                raise AssertionError("unreachable")


async def test_a_database_that_was_not_migrated_is_said_at_once(postgres_url: str) -> None:
    async with trio_asyncio.open_loop():
        with pytest.raises(Misconfigured, match="tessera migrate"):
            async with open_postgres(postgres_url):
                raise AssertionError("unreachable")


async def test_a_database_of_a_newer_version_is_said_at_once(
    postgres: Postgres, database_url: str
) -> None:
    await postgres.write(
        "upgrading", "insert into schema_version (version, name, checksum) values (999, '', '')"
    )
    with pytest.raises(Misconfigured, match=r"newer version .* upgrade tessera"):
        async with open_postgres(database_url):
            raise AssertionError("unreachable")


def test_the_adapters_know_the_last_migration() -> None:
    assert steps()[-1].version == SCHEMA_VERSION
