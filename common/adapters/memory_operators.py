"""Operators' tokens, the audit log and moderation in memory; behaves as ``PostgresOperators``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import attrs

from common.adapters.memory_postgres import MemoryPostgres
from common.grid import AgentId, ChunkId, SessionId
from common.operators import (
    Audited,
    Call,
    KeptAgent,
    Moderation,
    OperatorToken,
    Outcome,
    OwnedChunk,
)


class MemoryOperators:
    def __init__(self, postgres: MemoryPostgres) -> None:
        self._postgres = postgres

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._postgres.now_ms() / 1000, UTC)

    async def token(self, token_id: str) -> OperatorToken | None:
        await self._postgres.reached("reading an operator's token")
        return self._postgres.operator_tokens.get(token_id)

    async def tokens(self) -> Sequence[OperatorToken]:
        await self._postgres.reached("reading operators' tokens")
        tokens = self._postgres.operator_tokens.values()
        return sorted(tokens, key=lambda token: (token.created_at, token.token_id))

    async def add_token(self, token: OperatorToken) -> None:
        await self._postgres.reached("adding an operator's token")
        self._postgres.operator_tokens.setdefault(token.token_id, token)

    async def rehash(self, token_id: str, secret_hash: bytes) -> None:
        await self._postgres.reached("hashing an operator's token anew")
        if (token := self._postgres.operator_tokens.get(token_id)) is not None:
            fresh = attrs.evolve(token, secret_hash=secret_hash)
            self._postgres.operator_tokens[token_id] = fresh

    async def revoke(self, token_id: str, at: datetime) -> bool:
        await self._postgres.reached("revoking an operator's token")
        if (token := self._postgres.operator_tokens.get(token_id)) is None:
            return False
        revoked = attrs.evolve(token, revoked_at=token.revoked_at or at)
        self._postgres.operator_tokens[token_id] = revoked
        return True

    async def note(self, call: Call, outcome: Outcome | None) -> int:
        await self._postgres.reached("writing the audit log")
        id = len(self._postgres.audit) + 1
        self._postgres.audit.append(Audited(id, call, outcome))
        return id

    async def conclude(self, id: int, outcome: Outcome) -> None:
        await self._postgres.reached("concluding a row of the audit log")
        row = self._postgres.audit[id - 1]
        if row.outcome is None:
            self._postgres.audit[id - 1] = attrs.evolve(row, outcome=outcome)

    async def audit(
        self, before: int | None, limit: int, *, changes_only: bool = False
    ) -> Sequence[Audited]:
        await self._postgres.reached("reading the audit log")
        rows = [
            row
            for row in reversed(self._postgres.audit)
            if (before is None or row.id < before)
            and not (changes_only and row.call.action.startswith("GET "))
        ]
        return rows[:limit]

    async def mute(self, agent: AgentId, until: datetime) -> bool:
        await self._postgres.reached("muting an agent")
        if agent not in self._postgres.agents:
            return False
        self._mute({**self._postgres.moderation.muted, agent: until})
        return True

    async def unmute(self, agent: AgentId) -> bool:
        await self._postgres.reached("unmuting an agent")
        if agent not in self._postgres.agents:
            return False
        muted = self._postgres.moderation.muted.items()
        self._mute({other: until for other, until in muted if other != agent})
        return True

    def _mute(self, muted: dict[AgentId, datetime]) -> None:
        before = self._postgres.moderation
        self._postgres.moderation = attrs.evolve(before, version=before.version + 1, muted=muted)

    async def kick(self, agent: AgentId, at: datetime) -> Sequence[SessionId] | None:
        await self._postgres.reached("kicking an agent")
        return self._end(agent, at) if agent in self._postgres.agents else None

    async def ban(self, agent: AgentId, at: datetime) -> Sequence[SessionId] | None:
        await self._postgres.reached("banning an agent")
        if agent not in self._postgres.agents:
            return None
        self._postgres.banned.setdefault(agent, at)
        return self._end(agent, at)

    def _end(self, agent: AgentId, at: datetime) -> list[SessionId]:
        mine = [s for s in self._postgres.sessions.values() if s.agent == agent]
        for session in mine:
            if session.ended_at is None:
                self._postgres.sessions[session.session] = attrs.evolve(session, ended_at=at)
        latest = sorted(mine, key=lambda session: (session.created_at, session.session))[-1:]
        return [session.session for session in latest]

    async def unban(self, agent: AgentId) -> bool:
        await self._postgres.reached("lifting a ban")
        self._postgres.banned.pop(agent, None)
        return agent in self._postgres.agents

    async def set_words(self, words: Sequence[str]) -> None:
        await self._postgres.reached("setting the banned words")
        before = self._postgres.moderation
        self._postgres.moderation = attrs.evolve(
            before, version=before.version + 1, words=tuple(words)
        )

    async def moderation(self, known: int) -> Moderation | None:
        await self._postgres.reached("reading what agents may not say")
        moderation = self._postgres.moderation
        if moderation.version == known:
            return None
        now = self._now()
        muted = {agent: until for agent, until in moderation.muted.items() if until > now}
        return attrs.evolve(moderation, muted=muted)

    async def agents(
        self, after: AgentId | None, limit: int, name: str | None = None
    ) -> Sequence[KeptAgent]:
        await self._postgres.reached("listing agents")
        found = [
            self._kept(id)
            for id, account in sorted(self._postgres.agents.items())
            if id > (after or "") and (name is None or account.name.lower() == name.lower())
        ]
        return found[:limit]

    def _kept(self, agent: AgentId) -> KeptAgent:
        account = self._postgres.agents[agent]
        until = self._postgres.moderation.muted.get(agent)
        return KeptAgent(
            agent,
            account.name,
            account.created_at,
            account.present,
            account.chunk,
            account.x,
            account.y,
            muted_until=until if until is not None and until > self._now() else None,
            banned_at=self._postgres.banned.get(agent),
        )

    async def chunks(self, after: ChunkId | None, limit: int) -> Sequence[OwnedChunk]:
        await self._postgres.reached("listing chunks")
        found = [
            OwnedChunk(
                id,
                kept.generation,
                kept.epoch,
                kept.tick,
                kept.holder,
                datetime.fromtimestamp(0, UTC),  # Nobody notes it here.
            )
            for id, kept in sorted(self._postgres.chunks.items())
            if id > (after or "") and (kept.snapshot is not None or kept.journal)
        ]
        return found[:limit]
