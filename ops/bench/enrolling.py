"""Accounts and sessions for very many agents, written straight into the database, and spread.

It goes through the gateway's own adapter, so a session is what ``POST /v1/sessions`` would have
made of it. Chunks are neighbours, each agent on a cell of its own with a free one beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import trio

from common.accounts import Account, ApiKey, Scope, Session
from common.adapters.postgres_accounts import PostgresAccounts
from common.challenge import encode_base64url
from common.grid import AgentId, ChunkId
from common.limits import POSTGRES_CONNECTIONS_MAX
from common.tokens import Kind, new_id, new_token
from gateway.access import session_id_of
from ops.bench.players import Part
from ops.bench.rig import SEED, Site
from ops.bench.settlers import square
from shard.world.terrain import STEPS, Spot, terrain_of

SECRET = bytes(range(32))
SESSION_HOURS = 1


async def enroll(
    site: Site, name: str, count: int, each: int, scopes: frozenset[Scope]
) -> list[Part]:
    """Return ``count`` agents who may connect now, ``each`` of them in every chunk."""
    accounts = PostgresAccounts(site.postgres)
    seats = trio.CapacityLimiter(POSTGRES_CONNECTIONS_MAX)
    parts: list[Part] = []

    async def enter(n: int, chunk: ChunkId, spots: tuple[Spot, Spot]) -> None:
        async with seats:
            parts.append(await _enroll(accounts, f"{name}-{n}", chunk, spots, scopes))

    async with trio.open_nursery() as nursery:
        for n, (chunk, spots) in zip(range(count), _places(count, each), strict=False):
            nursery.start_soon(enter, n, chunk, spots)
    return parts


def _places(count: int, each: int) -> Iterator[tuple[ChunkId, tuple[Spot, Spot]]]:
    for chunk in square(-(-count // each)):
        terrain = terrain_of(SEED, chunk, 1)
        taken: set[Spot] = set()
        for spot in terrain.floor():
            beside = [(spot[0] + dx, spot[1] + dy) for dx, dy in STEPS.values()]
            free = [b for b in beside if terrain.is_floor(*b) and b not in taken]
            if spot not in taken and free and len(taken) < 2 * each:
                taken |= {spot, free[0]}
                yield chunk, (spot, free[0])


async def _enroll(
    accounts: PostgresAccounts,
    name: str,
    chunk: ChunkId,
    spots: tuple[Spot, Spot],
    scopes: frozenset[Scope],
) -> Part:
    agent, now, (x, y) = AgentId(f"agt_{new_id()}"), datetime.now(UTC), spots[0]
    key = ApiKey(new_id(), agent, b"", "", scopes, now)
    await accounts.create(Account(agent, name, now, chunk, x, y), key)
    token, resume = new_token(Kind.SESSION), new_token(Kind.RESUME)
    session = Session(
        session_id_of(token),
        agent,
        key.key_id,
        token.hash,
        SECRET,
        scopes,
        now,
        now + timedelta(hours=SESSION_HOURS),
        (resume.hash,),
    )
    await accounts.open_session(session)
    return Part(agent, session.session, encode_base64url(SECRET), token.text, spots)
