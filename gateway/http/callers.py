"""Who makes a call: nobody in particular, the holder of an API key, or of a session.

Each function takes the ``Authorization`` header, "" when there is none, and answers with who it
is or with 401, which never says why; with 403 to a banned agent. A key's ``last_used_at`` is kept
up to date here.
"""

from __future__ import annotations

from datetime import timedelta

from common.accounts import ApiKey, Session
from common.errors import Trouble
from common.limits import KEY_USED_SECONDS
from gateway.access import bearer_of, key_of, session_of
from gateway.http.outside import Outside
from gateway.http.problems import BANNED, Problem


async def anybody(_outside: Outside, _authorization: str) -> None:
    return None


async def key_holder(outside: Outside, authorization: str) -> ApiKey | Problem:
    hashing = outside.settings.hashing_keys
    key = await key_of(bearer_of(authorization), outside.accounts, outside.clock, hashing)
    if key == "banned":
        return BANNED
    if key == "unauthorized":
        return Problem(
            "unauthorized", "This call needs a live API key: Authorization: Bearer tsk_..."
        )
    now = outside.clock.now()
    if key.last_used_at is None or now - key.last_used_at >= timedelta(seconds=KEY_USED_SECONDS):
        await outside.accounts.used(key.key_id, now)
    return key


async def session_holder(outside: Outside, authorization: str) -> Session | Problem:
    session = await session_of(bearer_of(authorization), outside.accounts, outside.clock)
    if session == "banned":
        return BANNED
    if isinstance(session, Session) and await _has_left(outside, session):
        await outside.accounts.end_session(session.session, outside.clock.now())
        session = "unauthorized"
    if session == "unauthorized":
        return Problem(
            "unauthorized", "This call needs a live session's token: Authorization: Bearer tss_..."
        )
    return session


async def _has_left(outside: Outside, session: Session) -> bool:
    """Whether nobody came back in time, so that the agent left: then its session is over."""
    try:
        return not await outside.bus.is_present(session.session)
    except Trouble:
        return False  # Nobody leaves while Redis is away.
