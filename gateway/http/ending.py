"""End sessions everywhere: tell the gateway that serves each, and let the agent leave the world.

PostgreSQL knows already that they are over. The word to the gateway is repeated a few times,
because the connection closes on nothing else; the word to the shard is sent once, because a
session's presence runs out anyhow.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import trio

from common.bus import Offer
from common.envelopes import Detach
from common.errors import Trouble
from common.grid import AgentId, SessionId
from common.limits import RETRIES_MAX
from gateway.http.outside import Outside

_PAUSE_SECONDS = 0.1  # Doubled each time: a Redis that hiccups is back by then, one that died not.


async def end_sessions(outside: Outside, agent: AgentId, sessions: Iterable[SessionId]) -> None:
    """Tell everybody that ``sessions`` of ``agent`` are over. May raise Trouble."""
    sessions = tuple(sessions)
    for session in sessions:
        await tell_gateway(outside, session, replaced=False)
    if sessions and (account := await outside.accounts.account(agent)):
        slot = outside.routes.slot(account.chunk)
        for session in sessions:
            message = Detach(session, agent, account.chunk)
            await outside.courier.offer(Offer(slot=slot, message=message))


async def tell_gateway(outside: Outside, session: SessionId, *, replaced: bool) -> None:
    """Close the session's WebSocket, wherever it is. May raise Trouble."""
    for attempt in range(RETRIES_MAX - 1):
        with contextlib.suppress(Trouble):
            await outside.bus.end(session, replaced)
            return
        await trio.sleep(_PAUSE_SECONDS * 2**attempt)
    await outside.bus.end(session, replaced)
