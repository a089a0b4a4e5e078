"""What every adapter of ``gateway.ports.Accounts`` promises, on memory and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import attrs
import pytest
import trio
import trio_asyncio

from common.accounts import ALL_SCOPES, Account, ApiKey, NameTaken, Scope, Session
from common.adapters.clock import SystemClock
from common.adapters.memory_accounts import MemoryAccounts
from common.adapters.memory_postgres import MemoryPostgres
from common.adapters.postgres import open_postgres
from common.adapters.postgres_accounts import PostgresAccounts
from common.grid import AgentId, ChunkId, CommandId, SessionId
from common.limits import RESUME_OFFERS_MAX
from common.topology import Topologies, Topology
from gateway.ports import Accounts

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)


@pytest.fixture(params=["memory", pytest.param("embedded", marks=pytest.mark.embedded)])
def url(request: pytest.FixtureRequest) -> str | None:
    if request.param == "memory":
        return None
    database_url: str = request.getfixturevalue("database_url")
    return database_url


@pytest.fixture
async def accounts(url: str | None) -> AsyncIterator[Accounts]:
    if url is None:
        yield MemoryAccounts(MemoryPostgres(SystemClock().now_ms))
    else:
        async with trio_asyncio.open_loop(), open_postgres(url) as postgres:
            yield PostgresAccounts(postgres)


def an_account(agent: str = "agt_1", name: str = "Ada") -> Account:
    return Account(AgentId(agent), name, NOW, ChunkId("0:0"), None, None)


def a_key(agent: str = "agt_1", key_id: str = "key1") -> ApiKey:
    return ApiKey(key_id, AgentId(agent), b"hash", "a label", ALL_SCOPES, NOW)


def a_session(session: str = "ses_1", agent: str = "agt_1", key_id: str = "key1") -> Session:
    return Session(
        SessionId(session),
        AgentId(agent),
        key_id,
        token_hash=b"token",
        challenge_secret=b"secret",
        scopes=frozenset({Scope.ACT, Scope.OBSERVE}),
        created_at=NOW,
        expires_at=NOW + timedelta(hours=24),
        resume_hashes=(b"first",),
    )


SES_1 = SessionId("ses_1")


@pytest.fixture
async def opened(accounts: Accounts) -> Accounts:
    """With an agent ``agt_1``, its key ``key1``, and its session ``ses_1``."""
    await accounts.create(an_account(), a_key())
    await accounts.open_session(a_session())
    return accounts


async def test_there_is_a_world_and_a_topology(accounts: Accounts) -> None:
    world = await accounts.world()
    assert world.id.startswith("wld_")
    assert world == await accounts.world()
    only = Topology(epoch=1, shard_count=1)
    assert await accounts.topologies() == Topologies(only, only)


async def test_what_is_asked_for_is_wanted_and_not_yet_in_force(accounts: Accounts) -> None:
    assert await accounts.ask_reshard(4) == Topology(2, 4)
    assert await accounts.topologies() == Topologies(Topology(1, 1), Topology(2, 4))


async def test_asking_for_what_is_wanted_or_in_force_is_answered_with_that(
    accounts: Accounts,
) -> None:
    assert await accounts.ask_reshard(1) == Topology(1, 1)
    assert await accounts.ask_reshard(4) == await accounts.ask_reshard(4) == Topology(2, 4)


async def test_asking_again_replaces_what_was_wanted_under_a_new_epoch(accounts: Accounts) -> None:
    await accounts.ask_reshard(4)
    assert await accounts.ask_reshard(3) == Topology(3, 3)
    assert await accounts.topologies() == Topologies(Topology(1, 1), Topology(3, 3))


async def test_asking_for_what_is_in_force_takes_back_what_was_wanted(accounts: Accounts) -> None:
    await accounts.ask_reshard(4)
    assert await accounts.ask_reshard(1) == Topology(1, 1)
    assert not (await accounts.topologies()).is_changing
    assert await accounts.ask_reshard(4) == Topology(3, 4)


async def test_an_agent_is_found_with_its_key_as_they_were_created(accounts: Accounts) -> None:
    key = attrs.evolve(
        a_key(), scopes=frozenset({Scope.OBSERVE}), expires_at=LATER, last_used_at=NOW
    )
    account = attrs.evolve(an_account(), x=2**31, y=-(2**31), present=True)
    await accounts.create(account, key)
    assert await accounts.account(account.agent) == account
    assert await accounts.key("key1") == key


async def test_what_does_not_exist_is_none(accounts: Accounts) -> None:
    nobody, no_session = AgentId("agt_0"), SessionId("ses_0")
    assert await accounts.account(nobody) is None
    assert await accounts.key("key0") is None
    assert await accounts.keys(nobody) == []
    assert await accounts.revoke(nobody, "key0", NOW) is None
    assert await accounts.session(no_session) is None
    assert not await accounts.end_session(no_session, NOW)
    assert not await accounts.offer_resume(no_session, None, b"fresh")
    assert not await accounts.confirm_resume(no_session, b"fresh")
    assert await accounts.history(no_session, 0) == []
    assert await accounts.known(no_session, CommandId("c-1")) is None


async def test_a_name_is_unique_without_regard_to_case(accounts: Accounts) -> None:
    await accounts.create(an_account(), a_key())
    with pytest.raises(NameTaken):
        await accounts.create(an_account("agt_2", "aDA"), a_key("agt_2", "key2"))
    assert await accounts.account(AgentId("agt_2")) is None
    assert await accounts.key("key2") is None


async def test_creating_the_same_agent_again_changes_nothing(accounts: Accounts) -> None:
    await accounts.create(an_account(), a_key())
    await accounts.create(an_account(), a_key())
    assert await accounts.keys(AgentId("agt_1")) == [a_key()]


async def test_keys_come_oldest_first_with_the_revoked_ones(accounts: Accounts) -> None:
    await accounts.create(an_account(), a_key(key_id="b"))
    older = attrs.evolve(a_key(key_id="z"), created_at=NOW - timedelta(days=1))
    await accounts.add_key(older)
    await accounts.create(an_account("agt_2", "Bob"), a_key("agt_2", "foreign"))
    await accounts.revoke(AgentId("agt_1"), "b", LATER)
    keys = await accounts.keys(AgentId("agt_1"))
    assert keys == [older, attrs.evolve(a_key(key_id="b"), revoked_at=LATER)]


async def test_a_use_is_noted_and_never_goes_back(accounts: Accounts) -> None:
    await accounts.create(an_account(), a_key())
    for at in (NOW, LATER, NOW):
        await accounts.used("key1", at)
    assert await accounts.key("key1") == attrs.evolve(a_key(), last_used_at=LATER)


async def test_a_session_is_found_as_it_was_opened(accounts: Accounts) -> None:
    await accounts.create(an_account(), a_key())
    assert await accounts.open_session(a_session()) == []
    assert await accounts.session(SES_1) == a_session()


async def test_opening_a_session_ends_the_one_before(opened: Accounts) -> None:
    await opened.create(an_account("agt_2", "Bob"), a_key("agt_2", "key2"))
    await opened.open_session(a_session("ses_bob", "agt_2", "key2"))
    second = attrs.evolve(a_session("ses_2"), created_at=LATER)
    assert await opened.open_session(second) == [SES_1]
    assert await opened.session(SES_1) == attrs.evolve(a_session(), ended_at=LATER)
    assert await opened.session(SessionId("ses_2")) == second
    bobs = await opened.session(SessionId("ses_bob"))
    assert bobs is not None
    assert bobs.ended_at is None


async def test_opening_a_session_again_answers_the_same(opened: Accounts) -> None:
    second = attrs.evolve(a_session("ses_2"), created_at=LATER)
    assert await opened.open_session(second) == [SES_1]
    assert await opened.open_session(second) == [SES_1]
    assert await opened.session(SessionId("ses_2")) == second


async def test_two_sessions_opened_at_once_leave_one_alive(opened: Accounts) -> None:
    names = [f"ses_{n}" for n in range(10, 18)]
    async with trio.open_nursery() as nursery:
        for n, name in enumerate(names, 1):
            session = attrs.evolve(a_session(name), created_at=NOW + timedelta(seconds=n))
            nursery.start_soon(opened.open_session, session)
    sessions = [await opened.session(SessionId(name)) for name in ("ses_1", *names)]
    assert sum(session is not None and session.ended_at is None for session in sessions) == 1


async def test_a_session_ends_once(opened: Accounts) -> None:
    assert await opened.end_session(SES_1, LATER)
    assert not await opened.end_session(SES_1, LATER + timedelta(seconds=1))
    assert await opened.session(SES_1) == attrs.evolve(a_session(), ended_at=LATER)


async def test_revoking_a_key_ends_its_sessions_and_no_others(opened: Accounts) -> None:
    await opened.create(an_account("agt_2", "Bob"), a_key("agt_2", "key2"))
    await opened.open_session(a_session("ses_bob", "agt_2", "key2"))
    assert await opened.revoke(AgentId("agt_1"), "key1", LATER) == [SES_1]
    assert await opened.session(SES_1) == attrs.evolve(a_session(), ended_at=LATER)
    bobs = await opened.session(SessionId("ses_bob"))
    assert bobs is not None
    assert bobs.ended_at is None


async def test_a_key_is_revoked_once(opened: Accounts) -> None:
    await opened.revoke(AgentId("agt_1"), "key1", NOW)
    assert await opened.revoke(AgentId("agt_1"), "key1", LATER) == []
    assert await opened.key("key1") == attrs.evolve(a_key(), revoked_at=NOW)


async def test_nobody_revokes_the_key_of_another(opened: Accounts) -> None:
    await opened.create(an_account("agt_2", "Bob"), a_key("agt_2", "key2"))
    assert await opened.revoke(AgentId("agt_2"), "key1", LATER) is None
    assert await opened.key("key1") == a_key()
    assert await opened.session(SES_1) == a_session()


async def test_a_key_revoked_meanwhile_opens_nothing_that_lives(accounts: Accounts) -> None:
    await accounts.create(an_account(), a_key())
    await accounts.revoke(AgentId("agt_1"), "key1", LATER)
    await accounts.open_session(a_session())
    assert await accounts.session(SES_1) == attrs.evolve(a_session(), ended_at=LATER)


# The resume tokens: the confirmed one is good until one that was offered since has been heard of.


async def hashes(accounts: Accounts) -> tuple[bytes, ...]:
    session = await accounts.session(SES_1)
    assert session is not None
    return session.resume_hashes


async def test_the_old_resume_token_stays_good_until_the_new_one_is_confirmed(
    opened: Accounts,
) -> None:
    assert await opened.offer_resume(SES_1, b"first", b"second")
    assert await opened.offer_resume(SES_1, b"first", b"third")
    assert await hashes(opened) == (b"first", b"second", b"third")
    assert await opened.confirm_resume(SES_1, b"third")
    for done_with in (b"first", b"second"):
        assert not await opened.offer_resume(SES_1, done_with, b"fourth")
    assert await hashes(opened) == (b"third",)


async def test_of_tokens_that_were_offered_any_may_be_confirmed(opened: Accounts) -> None:
    await opened.offer_resume(SES_1, b"first", b"second")
    await opened.offer_resume(SES_1, b"first", b"third")
    assert await opened.confirm_resume(SES_1, b"second")
    assert await hashes(opened) == (b"second",)
    assert not await opened.confirm_resume(SES_1, b"third")
    assert not await opened.confirm_resume(SES_1, b"first")
    assert await hashes(opened) == (b"second",)


async def test_an_unconfirmed_token_may_be_used_and_outdates_the_one_before(
    opened: Accounts,
) -> None:
    await opened.offer_resume(SES_1, b"first", b"second")
    assert await opened.offer_resume(SES_1, b"second", b"third")
    assert await hashes(opened) == (b"second", b"third")
    assert not await opened.offer_resume(SES_1, b"first", b"fourth")


async def test_a_token_that_is_used_leaves_the_others_that_were_offered(opened: Accounts) -> None:
    await opened.offer_resume(SES_1, b"first", b"second")
    await opened.offer_resume(SES_1, b"first", b"third")
    assert await opened.offer_resume(SES_1, b"third", b"fourth")
    assert await hashes(opened) == (b"third", b"second", b"fourth")


async def test_who_brings_no_token_is_offered_one_beside_the_others(opened: Accounts) -> None:
    assert await opened.offer_resume(SES_1, None, b"second")
    assert await opened.offer_resume(SES_1, None, b"third")
    assert await hashes(opened) == (b"first", b"second", b"third")


async def test_a_token_that_is_offered_twice_is_one(opened: Accounts) -> None:
    for _ in range(2):
        assert await opened.offer_resume(SES_1, b"first", b"second")
    assert await hashes(opened) == (b"first", b"second")


@pytest.mark.parametrize("used", [b"first", None])
async def test_of_too_many_offers_the_oldest_is_forgotten_but_never_the_confirmed_one(
    opened: Accounts, used: bytes | None
) -> None:
    offers = [b"offer-%d" % number for number in range(RESUME_OFFERS_MAX + 3)]
    for offer in offers:
        assert await opened.offer_resume(SES_1, used, offer)
    assert await hashes(opened) == (b"first", *offers[-RESUME_OFFERS_MAX:])
    assert not await opened.confirm_resume(SES_1, offers[2])
    assert await opened.offer_resume(SES_1, offers[3], b"fresh")
    assert await hashes(opened) == (offers[3], *offers[4:], b"fresh")


async def test_a_token_that_is_confirmed_again_leaves_what_was_offered_since(
    opened: Accounts,
) -> None:
    await opened.offer_resume(SES_1, b"first", b"second")
    assert await opened.confirm_resume(SES_1, b"first")
    assert await hashes(opened) == (b"first", b"second")


async def test_an_ended_session_gives_no_tokens(opened: Accounts) -> None:
    await opened.end_session(SES_1, LATER)
    assert not await opened.offer_resume(SES_1, b"first", b"second")


async def test_a_ping_is_answered(accounts: Accounts) -> None:
    await accounts.ping()
