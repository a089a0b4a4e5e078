"""Whose session ran out: those agents leave the world.

It asks Redis, which gateways tell who is connected, and tells the intake. While Redis is away
nobody could come back, so once it answers again everybody gets the time to.
"""

from __future__ import annotations

import attrs
import structlog
import trio

from common.envelopes import Detach
from common.errors import Trouble
from common.grid import AgentId, ChunkId, SessionId
from common.limits import PRESENCE_ROUND_SECONDS, PRESENCE_SECONDS, REDIS_SECONDS_MAX
from shard.chunks import Chunks
from shard.inbox import Inbox
from shard.patience import bounded
from shard.ports import Bus

_log = structlog.get_logger()


@attrs.define(eq=False)
class Presence:
    _bus: Bus
    _chunks: Chunks
    _inbox: Inbox
    _was_away: bool = attrs.field(default=True, init=False)
    """Also when we have just come: nobody knows why the slot was free, and for how long."""
    _next_round: float = attrs.field(default=float("-inf"), init=False)
    _since_ms: int | None = attrs.field(default=None, init=False)
    """Up to when we know who ran out, by the clock of Redis."""

    async def run(self) -> None:
        """Ask again and again, until cancelled."""
        while True:
            await trio.sleep(PRESENCE_SECONDS)
            try:
                if self._was_away or trio.current_time() >= self._next_round:
                    await self._ask_about_all()
                else:
                    await self._ask_who_ran_out()
            except Trouble as trouble:
                _log.warning("cannot ask who is present", trouble=str(trouble))
                self._was_away = True

    async def _ask_who_ran_out(self) -> None:
        """Cost what changed, not what there is."""
        since_ms = self._since_ms
        ran_out = await bounded(REDIS_SECONDS_MAX, lambda: self._bus.ran_out(since_ms))
        self._since_ms = ran_out.now_ms
        if ran_out.sessions:
            driven = self._driven()
            for session in ran_out.sessions:
                if session in driven:
                    self._end(session, *driven[session])

    async def _ask_about_all(self) -> None:
        self._next_round = trio.current_time() + PRESENCE_ROUND_SECONDS
        driven = self._driven()
        sessions = tuple(driven)
        if not sessions:
            return
        if self._was_away:
            await bounded(REDIS_SECONDS_MAX, lambda: self._bus.reprieve(sessions))
            self._was_away = bool(self._chunks.pending)  # Whoever is loaded later gets it, too.
        for session in await bounded(REDIS_SECONDS_MAX, lambda: self._bus.absent(sessions)):
            self._end(session, *driven[session])

    def _end(self, session: SessionId, agent: AgentId, chunk: ChunkId) -> None:
        self._inbox.tell(Detach(session, agent, chunk))

    def _driven(self) -> dict[SessionId, tuple[AgentId, ChunkId]]:
        return {
            agent.session: (agent.id, live.id)
            for live in self._chunks
            for agent in live.state.agents.values()
            if agent.transfer is None  # Else its target asks, or we do once it is settled.
        }
