"""What every adapter of ``gateway.ports.Operators`` promises, on memory and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import attrs
import pytest
import trio_asyncio

from common.accounts import ALL_SCOPES, Account, ApiKey, Session
from common.adapters.clock import SystemClock
from common.adapters.memory_accounts import MemoryAccounts
from common.adapters.memory_operators import MemoryOperators
from common.adapters.memory_postgres import KeptChunk, MemoryPostgres
from common.adapters.postgres import Postgres, open_postgres
from common.adapters.postgres_accounts import PostgresAccounts
from common.adapters.postgres_operators import PostgresOperators
from common.grid import AgentId, ChunkId, Epoch, SessionId, Tick
from common.journal import Row
from common.operators import ANYBODY, Audited, Call, OperatorToken, Outcome, Role
from gateway.ports import Accounts, Operators

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
FAR = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
PAST = FAR - timedelta(days=2)
ADA, BOB = AgentId("agt_1"), AgentId("agt_2")
SES_1 = SessionId("ses_1")
DONE = Outcome(204, "ok")


@attrs.frozen
class Office:
    operators: Operators
    accounts: Accounts
    postgres: Postgres | MemoryPostgres


@pytest.fixture(params=["memory", pytest.param("embedded", marks=pytest.mark.embedded)])
def url(request: pytest.FixtureRequest) -> str | None:
    if request.param == "memory":
        return None
    database_url: str = request.getfixturevalue("database_url")
    return database_url


@pytest.fixture
async def office(url: str | None) -> AsyncIterator[Office]:
    if url is None:
        memory = MemoryPostgres(SystemClock().now_ms)
        yield Office(MemoryOperators(memory), MemoryAccounts(memory), memory)
    else:
        async with trio_asyncio.open_loop(), open_postgres(url) as postgres:
            yield Office(PostgresOperators(postgres), PostgresAccounts(postgres), postgres)


@pytest.fixture
def operators(office: Office) -> Operators:
    return office.operators


@pytest.fixture
async def inhabited(office: Office) -> Office:
    """With Ada, her key and her live session; and Bob."""
    await sign_up(office.accounts, ADA, "Ada", "key1")
    await sign_up(office.accounts, BOB, "Bob", "key2")
    await office.accounts.open_session(a_session())
    return office


async def sign_up(accounts: Accounts, agent: AgentId, name: str, key_id: str) -> None:
    key = ApiKey(key_id, agent, b"hash", "", ALL_SCOPES, NOW)
    await accounts.create(Account(agent, name, NOW, ChunkId("0:0"), None, None), key)


def a_session(session: str = "ses_1", opened_at: datetime = NOW) -> Session:
    return Session(
        SessionId(session), ADA, "key1", b"token", b"secret", ALL_SCOPES, opened_at, FAR, (b"r",)
    )  # fmt: skip


def a_token(id: str = "one", role: Role = Role.VIEWER) -> OperatorToken:
    return OperatorToken(id, b"hash", role, "a label", NOW, FAR)


def a_call(action: str = "POST /ops/reshard", actor: str = "one") -> Call:
    return Call(NOW, actor, Role.ADMIN, action, "8", "0af7651916cd43dd8448eb211c80319c")


async def test_a_token_is_kept_as_it_was_made(operators: Operators) -> None:
    for token in (a_token("b", Role.ADMIN), a_token("a")):
        await operators.add_token(token)
    assert await operators.token("b") == a_token("b", Role.ADMIN)
    assert await operators.token("other") is None
    assert [token.token_id for token in await operators.tokens()] == ["a", "b"]


async def test_a_token_that_is_added_again_stays_as_it_is(operators: Operators) -> None:
    await operators.add_token(a_token())
    await operators.add_token(attrs.evolve(a_token(), role=Role.ADMIN))
    assert await operators.token("one") == a_token()


async def test_a_token_is_revoked_once(operators: Operators) -> None:
    await operators.add_token(a_token())
    assert await operators.revoke("one", NOW)
    assert await operators.revoke("one", LATER)
    assert not await operators.revoke("other", NOW)
    token = await operators.token("one")
    assert token is not None
    assert token.revoked_at == NOW
    assert not token.is_live(NOW)


async def test_a_token_and_a_key_may_be_hashed_anew(inhabited: Office) -> None:
    await inhabited.operators.add_token(a_token())
    await inhabited.operators.rehash("one", b"new")
    await inhabited.accounts.rehash("key1", b"newer")
    token, key = await inhabited.operators.token("one"), await inhabited.accounts.key("key1")
    assert token == attrs.evolve(a_token(), secret_hash=b"new")
    assert key is not None
    assert key.secret_hash == b"newer"
    other = await inhabited.accounts.key("key2")
    assert other is not None
    assert other.secret_hash == b"hash"


async def test_the_audit_log_has_each_call_with_its_outcome_newest_first(
    operators: Operators,
) -> None:
    first = await operators.note(a_call(), None)
    refused = Call(LATER, ANYBODY, None, "GET /ops/audit", "", "f" * 32)
    second = await operators.note(refused, Outcome(401, "unauthorized"))
    await operators.conclude(first, Outcome(202, "ok"))
    third = await operators.note(a_call("DELETE /ops/tokens/{token_id}"), None)
    assert first < second < third
    assert await operators.audit(None, 10) == [
        Audited(third, a_call("DELETE /ops/tokens/{token_id}"), None),
        Audited(second, refused, Outcome(401, "unauthorized")),
        Audited(first, a_call(), Outcome(202, "ok")),
    ]


async def test_an_outcome_is_said_once(operators: Operators) -> None:
    id = await operators.note(a_call(), None)
    await operators.conclude(id, Outcome(202, "ok"))
    await operators.conclude(id, Outcome(503, "unavailable"))
    assert [row.outcome for row in await operators.audit(None, 10)] == [Outcome(202, "ok")]


async def test_the_audit_log_is_read_in_pages(operators: Operators) -> None:
    ids = [
        await operators.note(a_call(f"GET {n}" if n % 2 else f"PUT {n}"), DONE) for n in range(5)
    ]
    first = await operators.audit(None, 2)
    assert [row.id for row in first] == [ids[4], ids[3]]
    assert [row.id for row in await operators.audit(first[-1].id, 9)] == [ids[2], ids[1], ids[0]]
    changes = await operators.audit(ids[4], 9, changes_only=True)
    assert [row.id for row in changes] == [ids[2], ids[0]]


async def test_who_is_muted_and_what_is_banned_is_told_when_it_changed(inhabited: Office) -> None:
    operators = inhabited.operators
    assert await operators.moderation(0) is None
    assert await operators.mute(ADA, FAR)
    assert await operators.mute(BOB, PAST)
    await operators.set_words(["one", "two words"])
    now = await operators.moderation(0)
    assert now is not None
    assert (now.words, now.muted) == (("one", "two words"), {ADA: FAR})
    assert await operators.moderation(now.version) is None
    assert await operators.unmute(ADA)
    after = await operators.moderation(now.version)
    assert after is not None
    assert (after.words, after.muted) == (("one", "two words"), {})


async def test_a_later_mute_replaces_the_one_before(inhabited: Office) -> None:
    for until in (FAR + timedelta(days=1), FAR):
        assert await inhabited.operators.mute(ADA, until)
    now = await inhabited.operators.moderation(0)
    assert now is not None
    assert now.muted == {ADA: FAR}


async def test_nobody_can_be_muted_kicked_or_banned_who_is_not_there(operators: Operators) -> None:
    nobody = AgentId("agt_0")
    assert not await operators.mute(nobody, FAR)
    assert not await operators.unmute(nobody)
    assert not await operators.unban(nobody)
    assert await operators.kick(nobody, NOW) is None
    assert await operators.ban(nobody, NOW) is None


async def test_a_kick_ends_the_live_session_and_no_more(inhabited: Office) -> None:
    assert await inhabited.operators.kick(ADA, LATER) == [SES_1]
    assert await inhabited.operators.kick(ADA, LATER + timedelta(1)) == [SES_1]  # To be told again.
    assert await inhabited.operators.kick(BOB, LATER) == []
    session = await inhabited.accounts.session(SES_1)
    assert session is not None
    assert session.ended_at == LATER
    await inhabited.accounts.open_session(a_session("ses_2", LATER))
    again = await inhabited.accounts.session(SessionId("ses_2"))
    assert again is not None
    assert again.ended_at is None
    assert await inhabited.operators.kick(ADA, LATER + timedelta(2)) == [SessionId("ses_2")]


async def test_a_banned_agent_has_no_live_session_until_the_ban_is_lifted(
    inhabited: Office,
) -> None:
    operators, accounts = inhabited.operators, inhabited.accounts
    assert await operators.ban(ADA, LATER) == [SES_1]
    key, other = await accounts.key("key1"), await accounts.key("key2")
    assert key is not None
    assert other is not None
    assert (key.is_banned, other.is_banned) == (True, False)
    assert [each.is_banned for each in await accounts.keys(ADA)] == [True]
    await accounts.open_session(a_session("ses_2", LATER))
    opened = await accounts.session(SessionId("ses_2"))
    assert opened is not None
    assert opened.ended_at == LATER
    assert await operators.unban(ADA)
    await accounts.open_session(a_session("ses_3", LATER))
    live = await accounts.session(SessionId("ses_3"))
    assert live is not None
    assert live.ended_at is None


async def test_agents_are_listed_with_what_they_may_not_do(inhabited: Office) -> None:
    await inhabited.operators.mute(ADA, FAR)
    await inhabited.operators.ban(BOB, LATER)
    ada, bob = await inhabited.operators.agents(None, 10)
    assert (ada.agent, ada.name, ada.muted_until, ada.banned_at) == (ADA, "Ada", FAR, None)
    assert (bob.agent, bob.name, bob.muted_until, bob.banned_at) == (BOB, "Bob", None, LATER)
    assert await inhabited.operators.agents(ADA, 10) == [bob]
    assert await inhabited.operators.agents(None, 1) == [ada]
    assert await inhabited.operators.agents(None, 10, "bOB") == [bob]
    assert await inhabited.operators.agents(BOB, 10, "Bob") == []


async def test_chunks_that_live_are_listed_in_pages(office: Office) -> None:
    await keep_chunks(office.postgres)
    first = await office.operators.chunks(None, 1)
    rest = await office.operators.chunks(first[0].chunk, 9)
    found = {chunk.chunk: chunk for chunk in (*first, *rest)}
    assert set(found) == {"0:0", "3:1"}  # And not one that was collected.
    assert len(first) == len(rest) == 1
    here = found[ChunkId("3:1")]
    assert (here.generation, here.epoch, here.holder) == (2, 7, "shard-1")


async def keep_chunks(postgres: Postgres | MemoryPostgres) -> None:
    if isinstance(postgres, MemoryPostgres):
        for id in ("0:0", "3:1", "9:9"):
            kept = KeptChunk(Epoch(7), generation=2, holder="shard-1")
            if id != "9:9":
                kept.journal[Tick(1), 0] = Row(ChunkId(id), Epoch(7), Tick(1), 0, b"")
            postgres.chunks[ChunkId(id)] = kept
        return
    await postgres.write(
        "a test",
        """
        with made as (
            insert into chunk (id, generation, epoch, holder)
            select unnest(array['0:0', '3:1', '9:9']), 2, 7, 'shard-1'
        )
        insert into journal (chunk, tick, ordinal, epoch, body, checksum)
        select unnest(array['0:0', '3:1']), 1, 0, 7, '', 0
        """,
    )


@pytest.mark.embedded
@pytest.mark.parametrize("table", ["audit", "audit_outcome"])
@pytest.mark.parametrize(
    "change",
    [
        "update {} set result = 'ok'",
        "update {} set result = 'ok' where false",
        "delete from {}",
        "truncate {}",
    ],
)
async def test_nothing_changes_what_the_audit_log_has(
    database_url: str, table: str, change: str
) -> None:
    async with trio_asyncio.open_loop(), open_postgres(database_url) as postgres:
        operators = PostgresOperators(postgres)
        id = await operators.note(a_call(), None)
        await operators.conclude(id, Outcome(202, "ok"))
        before = await operators.audit(None, 10)
        # Each is to stand by itself: the key between them forbids TRUNCATE of one, too.
        await postgres.write(
            "a test", "alter table audit_outcome drop constraint audit_outcome_id_fkey"
        )
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="stays on record"):
            await postgres.write("a test", change.format(table))
        assert await operators.audit(None, 10) == before
