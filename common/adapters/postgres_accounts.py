"""Agents, keys and sessions in PostgreSQL.

What must hold whatever two gateways do at once (one name, one live session) the schema enforces,
see ``ops/migrations/0001_accounts.sql``. Secrets arrive here as hashes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from common.accounts import Account, ApiKey, NameTaken, Scope, Session
from common.adapters.postgres import Postgres
from common.adapters.postgres_rows import (
    ANSWER_COLUMNS,
    read_ack,
    read_known,
    read_result,
    read_topologies,
    read_world,
)
from common.envelopes import SessionLine
from common.grid import AgentId, ChunkId, CommandId, SessionId
from common.journal import Known, World
from common.limits import RESUME_OFFERS_MAX
from common.topology import Topologies, Topology

_READ_KEYS = """
    select key.*, agent.banned_at is not null as is_banned
    from api_key key join agent on agent.id = key.agent
"""

# What stays offered beside a fresh token. In terms of the row alone: so two updates that meet are
# one after the other.
_OFFERED = "array_remove(array_remove(resume_hashes[2:], $2::bytea), $3::bytea)"


class PostgresAccounts:
    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def world(self) -> World:
        return await read_world(self._postgres)

    async def topologies(self) -> Topologies:
        return await read_topologies(self._postgres)

    async def ask_reshard(self, shard_count: int) -> Topology:
        (row,) = await self._postgres.write(
            "asking for shards", "select * from ask_reshard($1)", shard_count
        )
        return Topology(row["epoch"], row["shard_count"])

    async def create(self, account: Account, key: ApiKey) -> None:
        try:
            await self._postgres.write(
                "creating an agent",
                """
                with agent as (
                    insert into agent (id, name, created_at, chunk, x, y, present)
                    values ($1, $2, $3, $4, $5, $6, $7) returning id
                )
                insert into api_key (key_id, agent, secret_hash, label, scopes, created_at,
                                     expires_at, last_used_at, revoked_at)
                select $8, agent.id, $9, $10, $11, $12, $13, $14, $15 from agent
                """,
                account.agent,
                account.name,
                account.created_at,
                account.chunk,
                account.x,
                account.y,
                account.present,
                *_key_columns(key),
            )
        except asyncpg.UniqueViolationError as error:
            match error.constraint_name:
                case "agent_name":
                    raise NameTaken(account.name) from None
                case "agent_pkey":
                    pass  # Ids are random: it is our own, from a try whose answer was lost.
                case _:
                    raise

    async def account(self, agent: AgentId) -> Account | None:
        rows = await self._postgres.read(
            "reading an agent",
            "select id, name, created_at, chunk, x, y, present from agent where id = $1",
            agent,
        )
        return _account(rows[0]) if rows else None

    async def add_key(self, key: ApiKey) -> None:
        await self._postgres.write(
            "adding a key",
            """
            insert into api_key (key_id, agent, secret_hash, label, scopes, created_at,
                                 expires_at, last_used_at, revoked_at)
            values ($1, $9, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing
            """,
            *_key_columns(key),
            key.agent,
        )

    async def key(self, key_id: str) -> ApiKey | None:
        rows = await self._postgres.read("reading a key", f"{_READ_KEYS} where key_id = $1", key_id)
        return _key(rows[0]) if rows else None

    async def keys(self, agent: AgentId) -> Sequence[ApiKey]:
        rows = await self._postgres.read(
            "reading keys",
            f"{_READ_KEYS} where agent = $1 order by key.created_at, key_id",
            agent,
        )
        return [_key(row) for row in rows]

    async def rehash(self, key_id: str, secret_hash: bytes) -> None:
        await self._postgres.write(
            "hashing a key anew",
            "update api_key set secret_hash = $2 where key_id = $1",
            key_id,
            secret_hash,
        )

    async def used(self, key_id: str, at: datetime) -> None:
        await self._postgres.write(
            "noting a key's use",
            "update api_key set last_used_at = greatest(last_used_at, $2) where key_id = $1",
            key_id,
            at,
        )

    async def revoke(self, agent: AgentId, key_id: str, at: datetime) -> Sequence[SessionId] | None:
        rows = await self._postgres.write(
            "revoking a key", "select revoke_key($1, $2, $3)", agent, key_id, at
        )
        ended: list[str] | None = rows[0][0]
        return None if ended is None else [SessionId(session) for session in ended]

    async def open_session(self, session: Session) -> Sequence[SessionId]:
        rows = await self._postgres.write(
            "opening a session",
            "select open_session($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            session.session,
            session.agent,
            session.key_id,
            session.token_hash,
            session.challenge_secret,
            sorted(session.scopes),
            session.created_at,
            session.expires_at,
            session.resume_hashes,
        )
        return [SessionId(row[0]) for row in rows]

    async def session(self, session: SessionId) -> Session | None:
        rows = await self._postgres.read(
            "reading a session", "select * from session where id = $1", session
        )
        return _session(rows[0]) if rows else None

    async def end_session(self, session: SessionId, at: datetime) -> bool:
        rows = await self._postgres.write(
            "ending a session",
            "update session set ended_at = $2 where id = $1 and ended_at is null returning id",
            session,
            at,
        )
        return bool(rows)

    async def offer_resume(self, session: SessionId, used: bytes | None, fresh: bytes) -> bool:
        # Whoever brings an unconfirmed token has it, so the one before it is done with; the one
        # brought stays good until another one is confirmed. Twice the same is once: a write whose
        # answer was lost is repeated.
        rows = await self._postgres.write(
            "renewing a resume token",
            f"""
            update session set resume_hashes = array[coalesce($2::bytea, resume_hashes[1])]
                || ({_OFFERED})[greatest(cardinality({_OFFERED}) + 2 - $4::integer, 1):]
                || array[$3::bytea]
            where id = $1 and ended_at is null
                and ($2::bytea is null or $2 = any (resume_hashes))
            returning id
            """,  # noqa: S608 - a constant; what comes from outside is $1 to $4.
            session,
            used,
            fresh,
            RESUME_OFFERS_MAX,
        )
        return bool(rows)

    async def confirm_resume(self, session: SessionId, fresh: bytes) -> bool:
        rows = await self._postgres.write(
            "confirming a resume token",
            """
            update session set resume_hashes =
                case resume_hashes[1] when $2::bytea then resume_hashes else array[$2::bytea] end
            where id = $1 and $2 = any (resume_hashes)
            returning id
            """,
            session,
            fresh,
        )
        return bool(rows)

    async def history(self, session: SessionId, after_seq: int) -> Sequence[SessionLine]:
        rows = await self._postgres.read(
            "reading a session's history",
            f"select {ANSWER_COLUMNS} from command where session = $1",  # noqa: S608 - our own column names.
            session,
        )
        lines: list[tuple[int, SessionLine]] = []
        for row in rows:
            lines.append((row["seq"], read_ack(row)))
            if (result := read_result(row)) is not None:
                lines.append((result.seq, result))
        return [line for seq, line in sorted(lines, key=lambda pair: pair[0]) if seq > after_seq]

    async def known(self, session: SessionId, id: CommandId) -> Known | None:
        rows = await self._postgres.read(
            "looking up a command",
            f"select {ANSWER_COLUMNS} from command where session = $1 and id = $2",  # noqa: S608 - our own column names.
            session,
            id,
        )
        return read_known(rows[0]) if rows else None

    async def ping(self) -> None:
        await self._postgres.read("a ping", "select 1")


def _key_columns(key: ApiKey) -> tuple[object, ...]:
    """All but the agent, in the order of the table."""
    return (
        key.key_id,
        key.secret_hash,
        key.label,
        sorted(key.scopes),
        key.created_at,
        key.expires_at,
        key.last_used_at,
        key.revoked_at,
    )


def _account(row: asyncpg.Record) -> Account:
    return Account(
        agent=AgentId(row["id"]),
        name=row["name"],
        created_at=row["created_at"],
        chunk=ChunkId(row["chunk"]),
        x=row["x"],
        y=row["y"],
        present=row["present"],
    )


def _key(row: asyncpg.Record) -> ApiKey:
    return ApiKey(
        key_id=row["key_id"],
        agent=AgentId(row["agent"]),
        secret_hash=row["secret_hash"],
        label=row["label"],
        scopes=frozenset(Scope(scope) for scope in row["scopes"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        last_used_at=row["last_used_at"],
        revoked_at=row["revoked_at"],
        is_banned=row["is_banned"],
    )


def _session(row: asyncpg.Record) -> Session:
    return Session(
        session=SessionId(row["id"]),
        agent=AgentId(row["agent"]),
        key_id=row["key_id"],
        token_hash=row["token_hash"],
        challenge_secret=row["challenge_secret"],
        scopes=frozenset(Scope(scope) for scope in row["scopes"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        resume_hashes=tuple(row["resume_hashes"]),
        ended_at=row["ended_at"],
    )
