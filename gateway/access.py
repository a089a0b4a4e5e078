"""Who is asking: from the text of a bearer token to the key, session or operator it belongs to.

It knows no HTTP. Every token that is not good gets the same answer, whatever the reason: the
caller says 401 to all of them. (But who proves to be a banned agent may know that.) The reason
goes to a metric, and nowhere else. Secrets are compared in constant time; a caller may hand in
anything at all.
"""

from __future__ import annotations

import contextlib
from typing import Literal, TypeVar

from common.accounts import ApiKey, Session
from common.errors import Trouble
from common.grid import SessionId
from common.operators import OperatorToken
from common.tokens import HashingKeys, Kind, Token, is_secret_of, parse_token
from gateway.metrics import TOKENS_REFUSED
from gateway.ports import Accounts, Clock, Operators

T = TypeVar("T", ApiKey, Session, OperatorToken)
Flaw = Literal["missing", "mistyped", "unknown", "revoked", "expired", "banned"]
Refused = Literal["unauthorized", "banned"]


def bearer_of(authorization: str) -> str:
    """Return the token in the value of an ``Authorization`` header, "" when there is none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def session_id_of(token: Token) -> SessionId:
    return SessionId(f"ses_{token.id}")


async def key_of(
    text: str, accounts: Accounts, clock: Clock, hashing: HashingKeys
) -> ApiKey | Refused:
    """Return the live API key that ``text`` is.

    One that was hashed with the previous key is hashed anew: whoever is seen before that is given
    up stays.
    """
    return _counted(Kind.API_KEY, await _find_key(text, accounts, clock, hashing))


async def session_of(text: str, accounts: Accounts, clock: Clock) -> Session | Refused:
    """Return the live session, of a live key, whose token ``text`` is."""
    return _counted(Kind.SESSION, await _find_session(text, accounts, clock))


async def operator_of(
    text: str, operators: Operators, clock: Clock, hashing: HashingKeys
) -> OperatorToken | Refused:
    """Return the live operator's token that ``text`` is; hashed anew as an API key is."""
    return _counted(Kind.OPERATOR, await _find_operator(text, operators, clock, hashing))


async def _find_key(
    text: str, accounts: Accounts, clock: Clock, hashing: HashingKeys
) -> ApiKey | Flaw:
    token = parse_token(Kind.API_KEY, text)
    if token is None:
        return "mistyped" if text else "missing"
    key = await accounts.key(token.id)
    if key is None or not hashing.fits(token, key.secret_hash):
        return "unknown"
    if key.is_banned:
        return "banned"
    if not key.is_live(clock.now()):
        return "revoked" if key.revoked_at else "expired"
    if not hashing.is_current(token, key.secret_hash):
        with contextlib.suppress(Trouble):  # The next call does it.
            await accounts.rehash(key.key_id, hashing.hash(token))
    return key


async def _find_session(text: str, accounts: Accounts, clock: Clock) -> Session | Flaw:
    token = parse_token(Kind.SESSION, text)
    if token is None:
        return "mistyped" if text else "missing"
    session = await accounts.session(session_id_of(token))
    if session is None or not is_secret_of(token, session.token_hash):
        return "unknown"
    key = await accounts.key(session.key_id)
    if key is not None and key.is_banned:
        return "banned"
    if not session.is_live(clock.now()):
        return "revoked" if session.ended_at else "expired"
    if key is None or not key.is_live(clock.now()):
        return "revoked"
    return session


async def _find_operator(
    text: str, operators: Operators, clock: Clock, hashing: HashingKeys
) -> OperatorToken | Flaw:
    token = parse_token(Kind.OPERATOR, text)
    if token is None:
        return "mistyped" if text else "missing"
    kept = await operators.token(token.id)
    if kept is None or not hashing.fits(token, kept.secret_hash):
        return "unknown"
    if not kept.is_live(clock.now()):
        return "revoked" if kept.revoked_at else "expired"
    if not hashing.is_current(token, kept.secret_hash):
        with contextlib.suppress(Trouble):
            await operators.rehash(kept.token_id, hashing.hash(token))
    return kept


def _counted(kind: Kind, found: T | Flaw) -> T | Refused:
    if not isinstance(found, str):
        return found
    TOKENS_REFUSED.labels(kind.name.lower(), found).inc()
    return "banned" if found == "banned" else "unauthorized"
