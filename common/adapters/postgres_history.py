"""What PostgreSQL keeps of a chunk, for replays. Only reading, and no claim to the chunk."""

from __future__ import annotations

import zlib

import asyncpg

from common.adapters.postgres import Postgres
from common.grid import ChunkId, Epoch, Tick
from common.journal import History, Row, Snapshot

# One statement sees one moment: a shard may save and prune while we read.
_QUERY = """
select 1 as part, tick, generation as ordinal, epoch, null::bytea as body, null::text as digest,
    null::bigint as checksum
from chunk where id = $1
union all
select 2, tick, null, epoch, state, digest, null from past_snapshot where chunk = $1
union all
select 2, tick, null, epoch, state, digest, null from snapshot where chunk = $1
union all
select 3, tick, ordinal, epoch, body, digest, checksum from journal where chunk = $1
order by part, tick, ordinal
"""


async def read_history(postgres: Postgres, chunk: ChunkId) -> History | None:
    """Return None for a chunk that was never made."""
    found = await postgres.read("reading a history", _QUERY, chunk)
    if not found:
        return None
    head = found[0]
    return History(
        chunk,
        head["ordinal"],
        Tick(head["tick"]),
        tuple(_snapshot(chunk, one) for one in found if one["part"] == 2),
        tuple(_row(chunk, one) for one in found if one["part"] == 3),
    )


def _snapshot(chunk: ChunkId, found: asyncpg.Record) -> Snapshot:
    return Snapshot(
        chunk, Epoch(found["epoch"]), Tick(found["tick"]), found["body"], found["digest"]
    )


def _row(chunk: ChunkId, found: asyncpg.Record) -> Row:
    checksum = found["checksum"]
    return Row(
        chunk,
        Epoch(found["epoch"]),
        Tick(found["tick"]),
        found["ordinal"],
        found["body"],
        digest=found["digest"],
        # Rows of before had none: those are believed.
        checksum=zlib.crc32(found["body"]) if checksum is None else checksum,
    )
