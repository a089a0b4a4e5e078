"""The one task that makes PostgreSQL remember: results, places, transfers, snapshots.

It works behind the publisher, in the same order, and repeats what failed until it works: all of
it is safe to repeat. Two promises rest on that order: a snapshot never covers what is not yet
published and recorded; and nobody is asked at a border before it is on record where it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from common.envelopes import Released
from common.grid import ChunkId
from common.journal import Retired, Snapshot
from common.limits import POSTGRES_SECONDS_MAX, RECORD_BATCH_MAX
from shard.emission import Ask, Emission, Keep
from shard.outbox import Outbox
from shard.patience import insist
from shard.ports import Journal
from shard.world.codec import digest, encode_chunk


async def record(
    records: Outbox,
    journal: Journal,
    *,
    lose: Callable[[ChunkId], None],
    ask: Callable[[Ask], None],
    kept: Callable[[Keep], None],
    collected: Callable[[Retired], None],
    left_alone: Callable[[Retired], None],
    released: Callable[[Released], None],
) -> None:
    """Record until ``records`` is closed and empty; hand each question on to ``ask``."""
    while batch := await records.take(RECORD_BATCH_MAX):
        for chunk in await _remember(batch, journal):
            lose(chunk)
        for emission in batch:
            for keep in emission.keeps:
                kept(keep)
            for question in emission.asks:
                ask(question)
            for parted in emission.released:
                released(parted)
        await _collect(batch, journal, collected, left_alone)


async def _remember(batch: Sequence[Emission], journal: Journal) -> frozenset[ChunkId]:
    facts = [fact for emission in batch for fact in emission.facts]
    keeps = [keep for emission in batch for keep in emission.keeps]
    lost: frozenset[ChunkId] = frozenset()
    if facts:
        lost |= await insist("recording", POSTGRES_SECONDS_MAX, lambda: journal.record(facts))
    if keeps:
        snapshots = [_snapshot(keep) for keep in keeps]
        empty = frozenset(keep.chunk.id for keep in keeps if not keep.chunk.agents)
        lost |= await insist("saving", POSTGRES_SECONDS_MAX, lambda: journal.save(snapshots, empty))
    return lost


async def _collect(
    batch: Sequence[Emission],
    journal: Journal,
    collected: Callable[[Retired], None],
    left_alone: Callable[[Retired], None],
) -> None:
    """Behind all that is remembered about them: there is nothing more to come."""
    retired = [one for emission in batch for one in emission.retired]
    if retired:
        left = await insist("collecting", POSTGRES_SECONDS_MAX, lambda: journal.collect(retired))
        for one in retired:
            (left_alone if one.chunk in left else collected)(one)


def _snapshot(keep: Keep) -> Snapshot:
    chunk = keep.chunk
    return Snapshot(
        chunk.id, keep.epoch, chunk.tick, encode_chunk(chunk), digest(chunk), keep.is_final
    )
