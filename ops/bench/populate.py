"""Write chunks into a world that no shard has yet, as a shard would leave them behind.

Through the shard's own adapters: taken, saved, their tick told to Redis. So whoever takes them next
recovers them as after any restart, and has nothing to replay.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TypeVar

from common.adapters.postgres_journal import PostgresJournal
from common.adapters.redis_shard_bus import RedisShardBus
from common.grid import Epoch
from common.journal import Snapshot
from ops.bench.rig import Site
from shard.world.codec import digest, encode_chunk
from shard.world.state import Chunk

BATCH = 200  # Chunks in one statement: some MB.
_AGENTS = (
    "insert into agent (id, name, created_at, chunk, x, y, present)"
    " select r.id, r.id, now(), r.chunk, r.x, r.y, true"
    " from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) as r (id, chunk, x, y)"
)

T = TypeVar("T")


async def populate(site: Site, chunks: Iterable[Chunk]) -> None:
    """Write ``chunks``, and their agents' accounts."""
    journal, bus = PostgresJournal(site.postgres), RedisShardBus(site.redis)
    for batch in _batches(chunks):
        taken = await journal.take([chunk.id for chunk in batch], "bench")
        epochs = {one.chunk: one.epoch for one in taken}
        await _add_agents(site, batch)
        lost = await journal.save(
            [_snapshot(chunk, epochs[chunk.id]) for chunk in batch], frozenset()
        )
        assert not lost, "nobody else is here"
        await bus.conclude({chunk.id: chunk.tick for chunk in batch})


async def _add_agents(site: Site, batch: Sequence[Chunk]) -> None:
    agents = [(chunk.id, agent) for chunk in batch for agent in chunk.agents.values()]
    await site.postgres.write(
        "adding agents",
        _AGENTS,
        [agent.id for _, agent in agents],
        [chunk for chunk, _ in agents],
        [agent.x for _, agent in agents],
        [agent.y for _, agent in agents],
    )


def _snapshot(chunk: Chunk, epoch: Epoch) -> Snapshot:
    return Snapshot(chunk.id, epoch, chunk.tick, encode_chunk(chunk), digest(chunk))


def _batches(values: Iterable[T]) -> Iterable[list[T]]:
    """As ``itertools.batched``, which is younger than we may be."""
    left = iter(values)
    while batch := list(islice(left, BATCH)):
        yield batch
