"""An agent, as anybody may see it: its name, and where it is.

Read from PostgreSQL, which hears of moves a little later than the streams; the position of one that
is online from the feed of its chunk, when this gateway happens to have it. Who wants to watch an
agent walk watches its chunk.
"""

from __future__ import annotations

import re

import attrs

from common.accounts import Account
from common.frames import Position
from common.grid import AgentId, ChunkId
from common.times import timestamp
from gateway.http.callers import anybody
from gateway.http.grants import Time
from gateway.http.outside import Whereabouts
from gateway.http.problems import Problem
from gateway.http.route import Ask, Route

# Also keeps out what PostgreSQL could not take as text (NUL).
_AGENT_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")


@attrs.frozen
class Agent:
    """``position`` is left out when it is not known exactly, or the agent never was anywhere."""

    agent_id: AgentId
    name: str
    online: bool
    chunk: ChunkId
    created_at: Time
    position: Position | None = None


async def show_agent(ask: Ask[None, None]) -> Agent | Problem:
    account = None
    if _AGENT_ID.fullmatch(ask.named):
        account = await ask.outside.accounts.account(AgentId(ask.named))
    if account is None:
        return Problem("not_found", "There is no agent of that id.")
    return Agent(
        account.agent,
        account.name,
        account.present,
        account.chunk,
        timestamp(account.created_at),
        _position(account, ask.outside.whereabouts),
    )


def _position(account: Account, whereabouts: Whereabouts) -> Position | None:
    if account.present:
        return whereabouts.position(account.agent, account.chunk)
    if account.x is None or account.y is None:
        return None
    return Position(account.x, account.y)


ROUTES = (
    Route(
        "GET",
        "/v1/agents/{agent_id}",
        "Show an agent",
        anybody,
        type(None),
        show_agent,
        answers={Agent: 200},
        refusals=("not_found",),
    ),
)
