"""Accounts and sessions for simulated agents, made as the HTTP calls make them, without HTTP.

It talks to the servers directly: what may go wrong on that way is tested elsewhere.
"""

from __future__ import annotations

from datetime import timedelta

import attrs

from common.accounts import ALL_SCOPES, Account, ApiKey, Session
from common.adapters.memory_accounts import MemoryAccounts
from common.adapters.memory_gateway_bus import MemoryGatewayBus
from common.grid import AgentId, ChunkId, SessionId
from common.limits import SPAWN_CHUNK
from common.tokens import Kind, new_token
from gateway.access import session_id_of
from ops.simulate.cluster import Cluster

SECRET = bytes(range(32))


@attrs.frozen
class Ticket:
    session: SessionId
    agent: AgentId
    token: str = attrs.field(repr=False)
    resume: str = attrs.field(repr=False)


@attrs.define(eq=False)
class FrontDesk:
    _cluster: Cluster
    _opened: int = attrs.field(default=0, init=False)

    def sign_up(self, name: str) -> AgentId:
        agent, now = AgentId(f"agt_{name}"), self._cluster.clock.now()
        postgres = self._cluster.postgres
        postgres.agents[agent] = Account(agent, name, now, ChunkId(SPAWN_CHUNK), None, None)
        key = ApiKey(f"key_{name}", agent, b"", "", ALL_SCOPES, now)
        postgres.keys[key.key_id] = key
        return agent

    async def open_session(self, agent: AgentId) -> Ticket:
        """May raise Trouble, and then the session may have been opened all the same."""
        cluster, now = self._cluster, self._cluster.clock.now()
        bus = MemoryGatewayBus(cluster.redis)
        await bus.ping()
        self._opened += 1
        token = new_token(Kind.SESSION, f"{self._opened:016d}")
        resume = new_token(Kind.RESUME, token.id)
        session = Session(
            session_id_of(token),
            agent,
            f"key_{agent.removeprefix('agt_')}",
            token.hash,
            SECRET,
            ALL_SCOPES,
            now,
            now + timedelta(days=1),
            (resume.hash,),
        )
        for ended in await MemoryAccounts(cluster.postgres).open_session(session):
            await bus.end(ended, replaced=True)
        return Ticket(session.session, agent, token.text, resume.text)
