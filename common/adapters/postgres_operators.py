"""Operators' tokens, the audit log and what agents may no longer do, in PostgreSQL.

That the audit log only ever grows the schema enforces, see ``ops/migrations/0008_operators.sql``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from common.adapters.postgres import Postgres
from common.grid import AgentId, ChunkId, Epoch, SessionId, Tick
from common.operators import (
    Audited,
    Call,
    KeptAgent,
    Moderation,
    OperatorToken,
    Outcome,
    OwnedChunk,
    Role,
)


class PostgresOperators:
    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    # Tokens

    async def token(self, token_id: str) -> OperatorToken | None:
        rows = await self._postgres.read(
            "reading an operator's token",
            "select * from operator_token where token_id = $1",
            token_id,
        )
        return _token(rows[0]) if rows else None

    async def tokens(self) -> Sequence[OperatorToken]:
        rows = await self._postgres.read(
            "reading operators' tokens",
            "select * from operator_token order by created_at, token_id",
        )
        return [_token(row) for row in rows]

    async def add_token(self, token: OperatorToken) -> None:
        await self._postgres.write(
            "adding an operator's token",
            """
            insert into operator_token
                (token_id, secret_hash, role, label, created_at, expires_at, revoked_at)
            values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing
            """,
            token.token_id,
            token.secret_hash,
            token.role,
            token.label,
            token.created_at,
            token.expires_at,
            token.revoked_at,
        )

    async def rehash(self, token_id: str, secret_hash: bytes) -> None:
        await self._postgres.write(
            "hashing an operator's token anew",
            "update operator_token set secret_hash = $2 where token_id = $1",
            token_id,
            secret_hash,
        )

    async def revoke(self, token_id: str, at: datetime) -> bool:
        rows = await self._postgres.write(
            "revoking an operator's token",
            """
            update operator_token set revoked_at = coalesce(revoked_at, $2) where token_id = $1
            returning token_id
            """,
            token_id,
            at,
        )
        return bool(rows)

    # The audit log

    async def note(self, call: Call, outcome: Outcome | None) -> int:
        rows = await self._postgres.write(
            "writing the audit log",
            """
            insert into audit (at, actor, role, action, target, trace_id, status, result)
            values ($1, $2, $3, $4, $5, $6, $7, $8) returning id
            """,
            call.at,
            call.actor,
            call.role,
            call.action,
            call.target,
            call.trace_id,
            outcome.status if outcome else None,
            outcome.result if outcome else None,
        )
        id: int = rows[0]["id"]
        return id

    async def conclude(self, id: int, outcome: Outcome) -> None:
        await self._postgres.write(
            "concluding a row of the audit log",
            """
            insert into audit_outcome (id, status, result) values ($1, $2, $3)
            on conflict do nothing
            """,
            id,
            outcome.status,
            outcome.result,
        )

    async def audit(
        self, before: int | None, limit: int, *, changes_only: bool = False
    ) -> Sequence[Audited]:
        rows = await self._postgres.read(
            "reading the audit log",
            f"""
            select a.id, a.at, a.actor, a.role, a.action, a.target, a.trace_id,
                coalesce(a.status, o.status) as status, coalesce(a.result, o.result) as result
            from audit a left join audit_outcome o on o.id = a.id
            where ($1::bigint is null or a.id < $1)
                {"and a.action not like 'GET %'" if changes_only else ""}
            order by a.id desc limit $2
            """,  # noqa: S608 - our own words.
            before,
            limit,
        )
        return [_audited(row) for row in rows]

    # Agents and what they may not do

    async def mute(self, agent: AgentId, until: datetime) -> bool:
        return await self._changed("muting an agent", "select mute_agent($1, $2)", agent, until)

    async def unmute(self, agent: AgentId) -> bool:
        return await self._changed("unmuting an agent", "select unmute_agent($1)", agent)

    async def kick(self, agent: AgentId, at: datetime) -> Sequence[SessionId] | None:
        return await self._end("kicking an agent", agent, at, for_good=False)

    async def ban(self, agent: AgentId, at: datetime) -> Sequence[SessionId] | None:
        return await self._end("banning an agent", agent, at, for_good=True)

    async def unban(self, agent: AgentId) -> bool:
        return await self._changed(
            "lifting a ban",
            "update agent set banned_at = null where id = $1 returning true",
            agent,
        )

    async def _changed(self, doing: str, query: str, *arguments: object) -> bool:
        rows = await self._postgres.write(doing, query, *arguments)
        return bool(rows and rows[0][0])

    async def _end(
        self, doing: str, agent: AgentId, at: datetime, *, for_good: bool
    ) -> Sequence[SessionId] | None:
        rows = await self._postgres.write(
            doing, "select end_agent($1, $2, $3)", agent, at, for_good
        )
        ended: list[str] | None = rows[0][0]
        return None if ended is None else [SessionId(session) for session in ended]

    async def set_words(self, words: Sequence[str]) -> None:
        await self._postgres.write(
            "setting the banned words",
            "update moderation set version = version + 1, words = $1",
            list(words),
        )

    async def moderation(self, known: int) -> Moderation | None:
        rows = await self._postgres.read(
            "reading what agents may not say",
            """
            select version, words,
                array(select agent from mute where until > now() order by agent) as muted,
                array(select until from mute where until > now() order by agent) as until
            from moderation where version <> $1
            """,
            known,
        )
        if not rows:
            return None
        (row,) = rows
        muted = zip(map(AgentId, row["muted"]), row["until"], strict=True)
        return Moderation(row["version"], tuple(row["words"]), dict(muted))

    async def agents(
        self, after: AgentId | None, limit: int, name: str | None = None
    ) -> Sequence[KeptAgent]:
        rows = await self._postgres.read(
            "listing agents",
            f"""
            select a.id, a.name, a.created_at, a.present, a.chunk, a.x, a.y, a.banned_at,
                m.until as muted_until
            from agent a left join mute m on m.agent = a.id and m.until > now()
            where a.id > $1 {"and lower(a.name) = lower($3)" if name is not None else ""}
            order by a.id limit $2
            """,  # noqa: S608 - our own words.
            after or "",
            limit,
            *(() if name is None else (name,)),
        )
        return [_agent(row) for row in rows]

    async def chunks(self, after: ChunkId | None, limit: int) -> Sequence[OwnedChunk]:
        rows = await self._postgres.read(
            "listing chunks",
            """
            select c.id, c.generation, c.epoch, c.holder, c.taken_at,
                coalesce(s.tick, c.tick) as tick
            from chunk c left join snapshot s on s.chunk = c.id
            where c.id > $1
                and (s.chunk is not null or exists (select from journal j where j.chunk = c.id))
            order by c.id limit $2
            """,
            after or "",
            limit,
        )
        return [_chunk(row) for row in rows]


def _token(row: asyncpg.Record) -> OperatorToken:
    return OperatorToken(
        token_id=row["token_id"],
        secret_hash=row["secret_hash"],
        role=Role(row["role"]),
        label=row["label"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )


def _audited(row: asyncpg.Record) -> Audited:
    call = Call(
        row["at"],
        row["actor"],
        Role(row["role"]) if row["role"] else None,
        row["action"],
        row["target"],
        row["trace_id"],
    )
    outcome = None if row["result"] is None else Outcome(row["status"], row["result"])
    return Audited(row["id"], call, outcome)


def _agent(row: asyncpg.Record) -> KeptAgent:
    return KeptAgent(
        agent=AgentId(row["id"]),
        name=row["name"],
        created_at=row["created_at"],
        present=row["present"],
        chunk=ChunkId(row["chunk"]),
        x=row["x"],
        y=row["y"],
        muted_until=row["muted_until"],
        banned_at=row["banned_at"],
    )


def _chunk(row: asyncpg.Record) -> OwnedChunk:
    return OwnedChunk(
        chunk=ChunkId(row["id"]),
        generation=row["generation"],
        epoch=Epoch(row["epoch"]),
        tick=Tick(row["tick"]),
        holder=row["holder"],
        taken_at=row["taken_at"],
    )
