"""Agents, keys and sessions in memory; behaves as ``PostgresAccounts`` does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import attrs

from common.accounts import Account, ApiKey, NameTaken, Session
from common.adapters.memory_postgres import MemoryPostgres
from common.envelopes import SessionLine
from common.grid import AgentId, CommandId, SessionId
from common.journal import Known, World
from common.limits import RESUME_OFFERS_MAX
from common.topology import Topologies, Topology


class MemoryAccounts:
    def __init__(self, postgres: MemoryPostgres) -> None:
        self._postgres = postgres

    async def world(self) -> World:
        await self._postgres.reached("reading the world")
        return self._postgres.world

    async def topologies(self) -> Topologies:
        await self._postgres.reached("reading the topology")
        return self._postgres.topologies

    async def ask_reshard(self, shard_count: int) -> Topology:
        await self._postgres.reached("asking for shards")
        return self._postgres.ask_reshard(shard_count)

    async def create(self, account: Account, key: ApiKey) -> None:
        await self._postgres.reached("creating an agent")
        if account.agent in self._postgres.agents:
            return
        name = account.name.lower()
        if any(other.name.lower() == name for other in self._postgres.agents.values()):
            raise NameTaken(account.name)
        self._postgres.agents[account.agent] = account
        self._postgres.keys[key.key_id] = key

    async def account(self, agent: AgentId) -> Account | None:
        await self._postgres.reached("reading an agent")
        return self._postgres.agents.get(agent)

    async def add_key(self, key: ApiKey) -> None:
        await self._postgres.reached("adding a key")
        assert key.agent in self._postgres.agents
        self._postgres.keys.setdefault(key.key_id, key)

    async def key(self, key_id: str) -> ApiKey | None:
        await self._postgres.reached("reading a key")
        key = self._postgres.keys.get(key_id)
        return self._as_it_is(key) if key else None

    def _as_it_is(self, key: ApiKey) -> ApiKey:
        return attrs.evolve(key, is_banned=key.agent in self._postgres.banned)

    async def keys(self, agent: AgentId) -> Sequence[ApiKey]:
        await self._postgres.reached("reading keys")
        mine = (key for key in self._postgres.keys.values() if key.agent == agent)
        in_order = sorted(mine, key=lambda key: (key.created_at, key.key_id))
        return [self._as_it_is(key) for key in in_order]

    async def rehash(self, key_id: str, secret_hash: bytes) -> None:
        await self._postgres.reached("hashing a key anew")
        if (key := self._postgres.keys.get(key_id)) is not None:
            self._postgres.keys[key_id] = attrs.evolve(key, secret_hash=secret_hash)

    async def used(self, key_id: str, at: datetime) -> None:
        await self._postgres.reached("noting a key's use")
        if (key := self._postgres.keys.get(key_id)) is not None:
            latest = at if key.last_used_at is None else max(key.last_used_at, at)
            self._postgres.keys[key_id] = attrs.evolve(key, last_used_at=latest)

    async def revoke(self, agent: AgentId, key_id: str, at: datetime) -> Sequence[SessionId] | None:
        await self._postgres.reached("revoking a key")
        key = self._postgres.keys.get(key_id)
        if key is None or key.agent != agent:
            return None
        self._postgres.keys[key_id] = attrs.evolve(key, revoked_at=key.revoked_at or at)
        return self._end([s for s in self._live() if s.key_id == key_id], at)

    async def open_session(self, session: Session) -> Sequence[SessionId]:
        await self._postgres.reached("opening a session")
        sessions = self._postgres.sessions
        if session.session not in sessions:
            self._end([s for s in self._live() if s.agent == session.agent], session.created_at)
            over_since = self._postgres.keys[
                session.key_id
            ].revoked_at or self._postgres.banned.get(session.agent)
            sessions[session.session] = attrs.evolve(session, ended_at=over_since)
        return sorted(
            other.session
            for other in sessions.values()
            if other.agent == session.agent
            and other.ended_at == session.created_at
            and other.session != session.session
        )

    async def session(self, session: SessionId) -> Session | None:
        await self._postgres.reached("reading a session")
        return self._postgres.sessions.get(session)

    async def end_session(self, session: SessionId, at: datetime) -> bool:
        await self._postgres.reached("ending a session")
        return bool(self._end([s for s in self._live() if s.session == session], at))

    async def offer_resume(self, session: SessionId, used: bytes | None, fresh: bytes) -> bool:
        await self._postgres.reached("renewing a resume token")
        kept = self._postgres.sessions.get(session)
        if kept is None or kept.ended_at is not None:
            return False
        if used is not None and used not in kept.resume_hashes:
            return False
        good = kept.resume_hashes[0] if used is None else used
        offered = [one for one in kept.resume_hashes[1:] if one not in (used, fresh)]
        hashes = (good, *[*offered, fresh][-RESUME_OFFERS_MAX:])
        self._postgres.sessions[session] = attrs.evolve(kept, resume_hashes=hashes)
        return True

    async def confirm_resume(self, session: SessionId, fresh: bytes) -> bool:
        await self._postgres.reached("confirming a resume token")
        kept = self._postgres.sessions.get(session)
        if kept is None or fresh not in kept.resume_hashes:
            return False
        if fresh != kept.resume_hashes[0]:
            self._postgres.sessions[session] = attrs.evolve(kept, resume_hashes=(fresh,))
        return True

    async def history(self, session: SessionId, after_seq: int) -> Sequence[SessionLine]:
        await self._postgres.reached("reading a session's history")
        lines: dict[int, SessionLine] = {}
        for (owner, _), kept in self._postgres.commands.items():
            for line in (kept.ack, kept.result):
                if owner == session and line is not None and line.seq is not None:
                    lines[line.seq] = line
        return [line for seq, line in sorted(lines.items()) if seq > after_seq]

    async def known(self, session: SessionId, id: CommandId) -> Known | None:
        await self._postgres.reached("looking up a command")
        kept = self._postgres.commands.get((session, id))
        return kept.known if kept else None

    async def ping(self) -> None:
        await self._postgres.reached("a ping")

    def _live(self) -> list[Session]:
        return [s for s in self._postgres.sessions.values() if s.ended_at is None]

    def _end(self, sessions: Sequence[Session], at: datetime) -> list[SessionId]:
        for session in sessions:
            self._postgres.sessions[session.session] = attrs.evolve(session, ended_at=at)
        return sorted(session.session for session in sessions)
