"""What the memory's PostgreSQL keeps of a chunk; as ``postgres_history``."""

from __future__ import annotations

from common.adapters.memory_postgres import MemoryPostgres
from common.grid import ChunkId
from common.journal import History


async def read_history(postgres: MemoryPostgres, chunk: ChunkId) -> History | None:
    await postgres.reached("reading a history")
    return history_of(postgres, chunk)


def history_of(postgres: MemoryPostgres, chunk: ChunkId) -> History | None:
    """Return the same, in this very moment."""
    kept = postgres.chunks.get(chunk)
    if kept is None:
        return None
    newest = (kept.snapshot,) if kept.snapshot else ()
    rows = tuple(row for _, row in sorted(kept.journal.items()))
    return History(chunk, kept.generation, kept.began, (*kept.past, *newest), rows)
