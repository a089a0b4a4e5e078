"""Agents, as operators see them, and what operators do to them: mute, kick, ban.

All of it is durable in PostgreSQL before anybody is told. A kick or a ban is told to the gateway
that serves the session, which closes with 4003; if that fails the call is ``unavailable``, and
asking again tells it again. Other gateways hear of mutes from PostgreSQL.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

import attrs
from msgspec import Meta

from common.frames import Position
from common.grid import AgentId, ChunkId, SessionId
from common.limits import MUTE_SECONDS_MAX, NAME_CHARACTERS_MAX
from common.operators import KeptAgent, OperatorToken
from common.times import timestamp
from gateway.http.ending import end_sessions
from gateway.http.grants import Time, time_or_none
from gateway.http.problems import Problem
from gateway.http.route import Ask, Done, Route
from gateway.moderation import look
from gateway.ops.callers import ADMIN, OPERATOR, VIEWER
from gateway.ops.paging import next_cursor, page_of
from gateway.ops.record import recorded

# Also keeps out what PostgreSQL could not take as text (NUL).
_AGENT_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_NAME = re.compile(rf"[0-9A-Za-z_-]{{1,{NAME_CHARACTERS_MAX}}}")
_NOBODY = Problem("not_found", "There is no agent of that id.")


@attrs.frozen
class SeenAgent:
    """``position`` is left out while it is in the world, and when it never was."""

    agent_id: AgentId
    name: str
    online: bool
    chunk: ChunkId
    created_at: Time
    muted_until: Time | None
    banned_at: Time | None
    position: Position | None = None


@attrs.frozen
class SeenAgents:
    items: list[SeenAgent]
    next_cursor: str | None


@attrs.frozen
class Mute:
    seconds: Annotated[int, Meta(ge=1, le=MUTE_SECONDS_MAX)]


@attrs.frozen
class Muted:
    agent_id: AgentId
    muted_until: Time


async def list_agents(ask: Ask[OperatorToken, None]) -> SeenAgents | Problem:
    page = page_of(ask.query, _is_id, {"name": lambda text: _NAME.fullmatch(text) is not None})
    if isinstance(page, Problem):
        return page
    after = None if page.after is None else AgentId(page.after)
    agents = await ask.outside.operators.agents(after, page.limit, page.more.get("name"))
    cursor = next_cursor(page, agents, lambda kept: kept.agent)
    return SeenAgents([_seen(kept) for kept in agents], cursor)


def _is_id(text: str) -> bool:
    return _AGENT_ID.fullmatch(text) is not None


def _seen(kept: KeptAgent) -> SeenAgent:
    is_known = not kept.present and kept.x is not None and kept.y is not None
    return SeenAgent(
        kept.agent,
        kept.name,
        kept.present,
        kept.chunk,
        timestamp(kept.created_at),
        time_or_none(kept.muted_until),
        time_or_none(kept.banned_at),
        Position(kept.x or 0, kept.y or 0) if is_known else None,
    )


async def mute(ask: Ask[OperatorToken, Mute]) -> Muted | Problem:
    agent = _named(ask)
    until = ask.outside.clock.now() + timedelta(seconds=ask.body.seconds)
    if agent is None or not await ask.outside.operators.mute(agent, until):
        return _NOBODY
    await look(ask.outside.moderator, ask.outside.operators)
    return Muted(agent, timestamp(until))


async def unmute(ask: Ask[OperatorToken, None]) -> Done | Problem:
    agent = _named(ask)
    if agent is None or not await ask.outside.operators.unmute(agent):
        return _NOBODY
    await look(ask.outside.moderator, ask.outside.operators)
    return Done()


async def kick(ask: Ask[OperatorToken, None]) -> Done | Problem:
    agent = _named(ask)
    if agent is None:
        return _NOBODY
    ended = await ask.outside.operators.kick(agent, ask.outside.clock.now())
    return await _told(ask, agent, ended)


async def ban(ask: Ask[OperatorToken, None]) -> Done | Problem:
    agent = _named(ask)
    if agent is None:
        return _NOBODY
    ended = await ask.outside.operators.ban(agent, ask.outside.clock.now())
    return await _told(ask, agent, ended)


async def unban(ask: Ask[OperatorToken, None]) -> Done | Problem:
    agent = _named(ask)
    is_there = agent is not None and await ask.outside.operators.unban(agent)
    return Done() if is_there else _NOBODY


def _for_how_long(ask: Ask[OperatorToken, Mute]) -> str:
    return f"{ask.named} {ask.body.seconds} s"


def _named(ask: Ask[OperatorToken, Any]) -> AgentId | None:
    return AgentId(ask.named) if _is_id(ask.named) else None


async def _told(
    ask: Ask[OperatorToken, None], agent: AgentId, ended: Sequence[SessionId] | None
) -> Done | Problem:
    if ended is None:
        return _NOBODY
    await end_sessions(ask.outside, agent, ended)
    return Done()


ROUTES = (
    Route(
        "GET",
        "/ops/agents",
        "List agents, with their mutes and bans",
        VIEWER,
        type(None),
        list_agents,
        answers={SeenAgents: 200},
        refusals=("validation_failed",),
    ),
    recorded(
        Route(
            "POST",
            "/ops/agents/{agent_id}/mute",
            "Let an agent say nothing for a while",
            OPERATOR,
            Mute,
            mute,
            answers={Muted: 200},
            refusals=("not_found",),
        ),
        target=_for_how_long,
    ),
    recorded(
        Route(
            "DELETE",
            "/ops/agents/{agent_id}/mute",
            "Let an agent speak again",
            OPERATOR,
            type(None),
            unmute,
            answers={Done: 204},
            refusals=("not_found",),
        )
    ),
    recorded(
        Route(
            "POST",
            "/ops/agents/{agent_id}/kick",
            "End an agent's session; its WebSocket closes with 4003",
            OPERATOR,
            type(None),
            kick,
            answers={Done: 204},
            refusals=("not_found",),
        )
    ),
    recorded(
        Route(
            "POST",
            "/ops/agents/{agent_id}/ban",
            "Kick an agent, and refuse its keys and sessions from now on",
            ADMIN,
            type(None),
            ban,
            answers={Done: 204},
            refusals=("not_found",),
        )
    ),
    recorded(
        Route(
            "DELETE",
            "/ops/agents/{agent_id}/ban",
            "Lift an agent's ban",
            ADMIN,
            type(None),
            unban,
            answers={Done: 204},
            refusals=("not_found",),
        )
    ),
)
