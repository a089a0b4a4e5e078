"""Bring a database to this version's schema, and set how many shards there are.

Steps are the files of ``ops/migrations``, applied in order, each in a transaction of its own; what
was applied is recorded with a checksum. Any number of processes may do it at once: one works,
the others wait. There is no way back but a backup.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import TypeVar

import attrs
import trio
import trio_asyncio
from trio_asyncio import aio_as_trio

from common.adapters.postgres import Connection, connect, newer_database
from common.errors import Misconfigured, Unavailable
from common.tokens import new_id
from common.topology import Topology

SEED_BITS = 63  # As many as a bigint holds.
RETRY_SECONDS = 0.1
LOCK = 0x7E55E4A  # Ours among the advisory locks of this database: "tessera", as far as hex goes.

T = TypeVar("T")

_FILE = re.compile(r"(\d{4})_\w+\.sql")


@attrs.frozen
class Step:
    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def steps() -> list[Step]:
    """Every step that this version knows, in order."""
    found = []
    for file in resources.files("ops.migrations").iterdir():
        if match := _FILE.fullmatch(file.name):
            found.append(Step(int(match[1]), file.name, file.read_text(encoding="utf-8")))
    return sorted(found, key=lambda step: step.version)


async def migrate(
    database_url: str, seed: int | None = None, patience_seconds: float = 0.0
) -> list[str]:
    """Apply what is missing and return its names; create the world (from ``seed``) if need be.

    Misconfigured when the server can't be reached within ``patience_seconds`` (one that was just
    started needs a moment), or when the database is not one that this version may touch.
    """

    async def work(connection: Connection) -> list[str]:
        await aio_as_trio(connection.execute)("select pg_advisory_lock($1)", LOCK)
        missing = await _missing(connection)
        for step in missing:
            await _apply(connection, step)
        await _create_world(connection, secrets.randbits(SEED_BITS) if seed is None else seed)
        return [step.name for step in missing]

    return await _connected(database_url, patience_seconds, work)


async def set_shard_count(
    database_url: str, shard_count: int, patience_seconds: float = 0.0
) -> Topology:
    """Put it in force at once, as befits a world that is about to start; return the topology.

    Its epoch is a new one if the count changed. In a world that runs, ``ask_reshard`` waits until
    somebody holds the slots.
    """

    async def work(connection: Connection) -> Topology:
        row = await aio_as_trio(connection.fetchrow)(
            """
            update topology
            set epoch = case when shard_count = $1 then epoch else last_epoch + 1 end,
                last_epoch = last_epoch + (shard_count <> $1)::int,
                shard_count = $1, wanted_epoch = null, wanted_count = null
            returning epoch, shard_count
            """,
            shard_count,
        )
        return Topology(row["epoch"], row["shard_count"])

    return await _connected(database_url, patience_seconds, work)


async def ask_shard_count(
    database_url: str, shard_count: int, patience_seconds: float = 0.0
) -> Topology:
    """Ask for it; return the topology that comes into force as soon as each slot is held."""

    async def work(connection: Connection) -> Topology:
        row = await aio_as_trio(connection.fetchrow)("select * from ask_reshard($1)", shard_count)
        return Topology(row["epoch"], row["shard_count"])

    return await _connected(database_url, patience_seconds, work)


async def _connected(
    database_url: str, patience_seconds: float, work: Callable[[Connection], Awaitable[T]]
) -> T:
    """Do ``work`` in an asyncio loop of its own; what it raises is not wrapped in a group."""
    async with trio_asyncio.open_loop():
        try:
            connection = await _connect(database_url, trio.current_time() + patience_seconds)
            try:
                # A migration may take longer than a call of the game.
                await aio_as_trio(connection.execute)("set statement_timeout = 0")
                return await work(connection)
            finally:
                connection.terminate()  # Also lets go of the lock.
        except Exception as error:  # noqa: BLE001 - raised again outside of the loop's nursery
            failure = error
    raise failure


async def _connect(database_url: str, deadline: float) -> Connection:
    while True:
        try:
            return await connect(database_url)
        except Unavailable as error:
            if trio.current_time() >= deadline:
                raise Misconfigured(
                    f"{error}; is it running, and is DATABASE_URL right?"
                ) from error
        await trio.sleep(RETRY_SECONDS)


async def _missing(connection: Connection) -> list[Step]:
    await aio_as_trio(connection.execute)(
        """
        create table if not exists schema_version (
            version integer primary key, name text not null, checksum text not null,
            applied_at timestamptz not null default now()
        )
        """
    )
    rows = await aio_as_trio(connection.fetch)("select version, checksum from schema_version")
    applied: dict[int, str] = {row["version"]: row["checksum"] for row in rows}
    known = steps()
    if (newest := max(applied, default=0)) > known[-1].version:
        raise newer_database(newest)
    for step in known:
        if applied.get(step.version, step.checksum) != step.checksum:
            raise Misconfigured(
                f"the database was made with another {step.name} than this version has:"
                " use the tessera that made it, or an empty database"
            )
    return [step for step in known if step.version not in applied]


async def _create_world(connection: Connection, seed: int) -> None:
    """Unless there is one."""
    await aio_as_trio(connection.execute)(
        "insert into world (id, seed) values ($1, $2) on conflict do nothing",
        f"wld_{new_id()}",
        seed,
    )
    await aio_as_trio(connection.execute)(
        "insert into topology (epoch, shard_count) values (1, 1) on conflict do nothing"
    )


async def _apply(connection: Connection, step: Step) -> None:
    async with aio_as_trio(connection.transaction()):
        await aio_as_trio(connection.execute)(step.sql)
        await aio_as_trio(connection.execute)(
            "insert into schema_version (version, name, checksum) values ($1, $2, $3)",
            step.version,
            step.name,
            step.checksum,
        )
