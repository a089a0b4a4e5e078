"""Who is asking: from the text of a bearer token to the key or the session it belongs to.

It knows no HTTP, and it answers None to every token that is not good, whatever the reason: the
caller says 401 to all of them. The reason goes to a metric, and nowhere else. Secrets are
compared in constant time; a caller may hand in anything at all.
"""

from __future__ import annotations

from typing import Literal, TypeVar

from common.accounts import ApiKey, Session
from common.grid import SessionId
from common.tokens import Kind, Token, is_secret_of, parse_token
from gateway.metrics import TOKENS_REFUSED
from gateway.ports import Accounts, Clock

T = TypeVar("T", ApiKey, Session)
Flaw = Literal["missing", "mistyped", "unknown", "revoked", "expired"]


def bearer_of(authorization: str) -> str:
    """Return the token in the value of an ``Authorization`` header, "" when there is none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def session_id_of(token: Token) -> SessionId:
    return SessionId(f"ses_{token.id}")


async def key_of(text: str, accounts: Accounts, clock: Clock) -> ApiKey | None:
    """Return the live API key that ``text`` is, or None."""
    return _counted(Kind.API_KEY, await _find_key(text, accounts, clock))


async def session_of(text: str, accounts: Accounts, clock: Clock) -> Session | None:
    """Return the live session, of a live key, whose token ``text`` is, or None."""
    return _counted(Kind.SESSION, await _find_session(text, accounts, clock))


async def _find_key(text: str, accounts: Accounts, clock: Clock) -> ApiKey | Flaw:
    token = parse_token(Kind.API_KEY, text)
    if token is None:
        return "mistyped" if text else "missing"
    key = await accounts.key(token.id)
    if key is None or not is_secret_of(token, key.secret_hash):
        return "unknown"
    if not key.is_live(clock.now()):
        return "revoked" if key.revoked_at else "expired"
    return key


async def _find_session(text: str, accounts: Accounts, clock: Clock) -> Session | Flaw:
    token = parse_token(Kind.SESSION, text)
    if token is None:
        return "mistyped" if text else "missing"
    session = await accounts.session(session_id_of(token))
    if session is None or not is_secret_of(token, session.token_hash):
        return "unknown"
    if not session.is_live(clock.now()):
        return "revoked" if session.ended_at else "expired"
    key = await accounts.key(session.key_id)
    if key is None or not key.is_live(clock.now()):
        return "revoked"
    return session


def _counted(kind: Kind, found: T | Flaw) -> T | None:
    if not isinstance(found, str):
        return found
    TOKENS_REFUSED.labels(kind.name.lower(), found).inc()
    return None
