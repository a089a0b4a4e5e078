from __future__ import annotations

from datetime import UTC, datetime, timedelta

import attrs
import pytest

from common.accounts import ALL_SCOPES, Account, ApiKey, Session
from common.adapters.memory_accounts import MemoryAccounts
from common.adapters.memory_operators import MemoryOperators
from common.adapters.memory_postgres import MemoryPostgres
from common.grid import AgentId, ChunkId
from common.operators import OperatorToken, Role
from common.tokens import HashingKeys, Kind, new_token
from gateway.access import bearer_of, key_of, operator_of, session_id_of, session_of
from gateway.metrics import REGISTRY

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY, SESSION = new_token(Kind.API_KEY), new_token(Kind.SESSION)
OPERATOR = new_token(Kind.OPERATOR)
PLAIN = HashingKeys()
OLD, NEW = b"o" * 32, b"n" * 32


class Fixed:
    def __init__(self, now: datetime = NOW) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def now_ms(self) -> int:
        return int(self._now.timestamp() * 1000)


async def accounts(
    expires_at: datetime | None = None, postgres: MemoryPostgres | None = None
) -> MemoryAccounts:
    kept = MemoryAccounts(postgres or MemoryPostgres(Fixed().now_ms))
    agent = AgentId("agt_1")
    key = ApiKey(KEY.id, agent, KEY.hash, "", ALL_SCOPES, NOW, expires_at)
    await kept.create(Account(agent, "Ada", NOW, ChunkId("0:0"), None, None), key)
    session = Session(
        session_id_of(SESSION),
        agent,
        KEY.id,
        SESSION.hash,
        b"",
        ALL_SCOPES,
        NOW,
        NOW + timedelta(hours=1),
        (),
    )
    await kept.open_session(session)
    return kept


def refused(kind: str, reason: str) -> float:
    labels = {"kind": kind, "reason": reason}
    return REGISTRY.get_sample_value("tessera_tokens_refused_total", labels) or 0.0


async def test_a_live_key_and_a_live_session_are_found() -> None:
    kept = await accounts()
    key = await key_of(KEY.text, kept, Fixed(), PLAIN)
    assert isinstance(key, ApiKey)
    assert key.key_id == KEY.id
    session = await session_of(SESSION.text, kept, Fixed())
    assert isinstance(session, Session)
    assert session.session == session_id_of(SESSION)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "missing"),
        ("nonsense", "mistyped"),
        (KEY.text[:-1] + ("a" if KEY.text[-1] != "a" else "b"), "mistyped"),
        (SESSION.text, "mistyped"),
        (new_token(Kind.API_KEY).text, "unknown"),
        (new_token(Kind.API_KEY, KEY.id).text, "unknown"),
    ],
    ids=["nothing", "nonsense", "mistyped", "session", "foreign", "wrong-secret"],
)
async def test_a_key_that_is_none_is_counted_by_its_reason(text: str, reason: str) -> None:
    before = refused("api_key", reason)
    assert await key_of(text, await accounts(), Fixed(), PLAIN) == "unauthorized"
    assert refused("api_key", reason) == before + 1


async def test_a_revoked_key_takes_its_sessions_along() -> None:
    kept = await accounts()
    await kept.revoke(AgentId("agt_1"), KEY.id, NOW)
    before = refused("api_key", "revoked"), refused("session", "revoked")
    assert await key_of(KEY.text, kept, Fixed(), PLAIN) == "unauthorized"
    assert await session_of(SESSION.text, kept, Fixed()) == "unauthorized"
    assert (refused("api_key", "revoked"), refused("session", "revoked")) == (
        before[0] + 1,
        before[1] + 1,
    )


async def test_a_session_needs_a_live_key() -> None:
    kept = await accounts(expires_at=NOW + timedelta(minutes=1))
    assert isinstance(await session_of(SESSION.text, kept, Fixed()), Session)
    later = Fixed(NOW + timedelta(minutes=1))
    assert await session_of(SESSION.text, kept, later) == "unauthorized"
    assert await key_of(KEY.text, kept, later, PLAIN) == "unauthorized"


async def test_an_expired_session_is_refused() -> None:
    kept = await accounts()
    assert await session_of(SESSION.text, kept, Fixed(NOW + timedelta(hours=1))) == "unauthorized"


async def test_a_session_with_another_secret_is_refused() -> None:
    assert (
        await session_of(new_token(Kind.SESSION, SESSION.id).text, await accounts(), Fixed())
        == "unauthorized"
    )


async def test_a_banned_agents_key_and_session_are_told_so_and_a_strangers_not() -> None:
    postgres = MemoryPostgres(Fixed().now_ms)
    kept = await accounts(postgres=postgres)
    await MemoryOperators(postgres).ban(AgentId("agt_1"), NOW)
    assert await key_of(KEY.text, kept, Fixed(), PLAIN) == "banned"
    assert await session_of(SESSION.text, kept, Fixed()) == "banned"
    stranger = new_token(Kind.API_KEY, KEY.id).text
    assert await key_of(stranger, kept, Fixed(), PLAIN) == "unauthorized"


async def test_a_key_made_with_the_previous_hashing_key_is_good_and_hashed_anew() -> None:
    old, rotating, new = HashingKeys(OLD), HashingKeys(NEW, OLD), HashingKeys(NEW)
    postgres = MemoryPostgres(Fixed().now_ms)
    kept = await accounts(postgres=postgres)
    postgres.keys[KEY.id] = attrs.evolve(postgres.keys[KEY.id], secret_hash=old.hash(KEY))
    assert await key_of(KEY.text, kept, Fixed(), new) == "unauthorized"
    assert isinstance(await key_of(KEY.text, kept, Fixed(), rotating), ApiKey)
    assert isinstance(await key_of(KEY.text, kept, Fixed(), new), ApiKey)
    assert await key_of(KEY.text, kept, Fixed(), old) == "unauthorized"


async def test_an_operators_token_is_hashed_as_a_key_is_and_may_expire() -> None:
    operators = MemoryOperators(MemoryPostgres(Fixed().now_ms))
    until = NOW + timedelta(hours=1)
    hashed = HashingKeys(OLD).hash(OPERATOR)
    await operators.add_token(OperatorToken(OPERATOR.id, hashed, Role.ADMIN, "", NOW, until))
    late = Fixed(until)
    assert await operator_of(OPERATOR.text, operators, Fixed(), HashingKeys(NEW)) == "unauthorized"
    found = await operator_of(OPERATOR.text, operators, Fixed(), HashingKeys(NEW, OLD))
    assert isinstance(found, OperatorToken)
    again = await operator_of(OPERATOR.text, operators, Fixed(), HashingKeys(NEW))
    assert isinstance(again, OperatorToken)
    assert await operator_of(OPERATOR.text, operators, late, HashingKeys(NEW)) == "unauthorized"
    await operators.revoke(OPERATOR.id, NOW)
    assert await operator_of(OPERATOR.text, operators, Fixed(), HashingKeys(NEW)) == "unauthorized"
    assert await operator_of(KEY.text, operators, Fixed(), HashingKeys(NEW)) == "unauthorized"


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Basic abc", ""),
        ("Bearer", ""),
        ("", ""),
        ("Bearerabc", ""),
    ],
)
def test_the_token_is_what_follows_bearer(header: str, token: str) -> None:
    assert bearer_of(header) == token
