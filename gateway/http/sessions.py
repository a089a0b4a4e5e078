"""Sessions: open one, look at it, end it. An agent has one at a time.

Opening one needs Redis as well as PostgreSQL, since nobody could use it without; it ends the
session before it, whose WebSocket closes with 4001. Nothing here touches a WebSocket.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Literal

import attrs

from common.accounts import ApiKey, Scope, Session
from common.challenge import encode_base64url
from common.grid import AgentId, SessionId
from common.limits import SESSION_HOURS_MAX
from common.times import timestamp
from common.tokens import Kind, new_token
from gateway.access import session_id_of
from gateway.http.callers import key_holder, session_holder
from gateway.http.ending import end_sessions, tell_gateway
from gateway.http.grants import Scopes, Time, earliest, granted, listed
from gateway.http.limiting import refuse_if_over
from gateway.http.problems import Problem
from gateway.http.route import Ask, Done, Route

CHALLENGE_SECRET_BYTES = 32  # As long as the hash that it keys (RFC 2104, section 3).


@attrs.frozen
class OpenSession:
    scopes: Scopes | None = None


@attrs.frozen
class OpenedSession:
    session_id: SessionId
    session_token: str = attrs.field(repr=False)
    challenge_secret: str = attrs.field(repr=False)
    resume_token: str = attrs.field(repr=False)
    scopes: list[Scope]
    expires_at: Time
    ws_path: Literal["/v1/agent"] = attrs.field(default="/v1/agent", kw_only=True)


@attrs.frozen
class CurrentSession:
    session_id: SessionId
    agent_id: AgentId
    key_id: str
    scopes: list[Scope]
    created_at: Time
    expires_at: Time


async def open_session(ask: Ask[ApiKey, OpenSession]) -> OpenedSession | Problem:
    outside, key = ask.outside, ask.caller
    scopes = granted(ask.body.scopes, key.scopes)
    if isinstance(scopes, Problem):
        return scopes
    count = outside.settings.sessions_per_min
    if limited := await refuse_if_over(outside, "session", key.key_id, count, 60):
        return limited
    if count == 0:
        await outside.bus.ping()  # Without the bucket nothing has shown yet that Redis is there.
    now = outside.clock.now()
    expires_at = earliest(now + timedelta(hours=SESSION_HOURS_MAX), key.expires_at)
    assert expires_at is not None
    token, secret = new_token(Kind.SESSION), secrets.token_bytes(CHALLENGE_SECRET_BYTES)
    resume = new_token(Kind.RESUME, token.id)
    session = Session(
        session_id_of(token),
        key.agent,
        key.key_id,
        token.hash,
        secret,
        scopes,
        created_at=now,
        expires_at=expires_at,
        resume_hashes=(resume.hash,),
    )
    for ended in await outside.accounts.open_session(session):
        await tell_gateway(outside, ended, replaced=True)
    return OpenedSession(
        session.session,
        token.text,
        encode_base64url(secret),
        resume.text,
        listed(scopes),
        timestamp(expires_at),
    )


async def show_session(ask: Ask[Session, None]) -> CurrentSession:
    session = ask.caller
    return CurrentSession(
        session.session,
        session.agent,
        session.key_id,
        listed(session.scopes),
        timestamp(session.created_at),
        timestamp(session.expires_at),
    )


async def end_session(ask: Ask[Session, None]) -> Done:
    await ask.outside.accounts.end_session(ask.caller.session, ask.outside.clock.now())
    await end_sessions(ask.outside, ask.caller.agent, (ask.caller.session,))
    return Done()


ROUTES = (
    Route(
        "POST",
        "/v1/sessions",
        "Open a session, which ends the agent's one before",
        key_holder,
        OpenSession,
        open_session,
        answers={OpenedSession: 201},
        refusals=("scope_missing", "rate_limited"),
    ),
    Route(
        "GET",
        "/v1/sessions/current",
        "Show the session, without its secrets",
        session_holder,
        type(None),
        show_session,
        answers={CurrentSession: 200},
    ),
    Route(
        "DELETE",
        "/v1/sessions/current",
        "End the session; the agent leaves the world",
        session_holder,
        type(None),
        end_session,
        answers={Done: 204},
    ),
)
