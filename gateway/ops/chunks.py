"""``GET /ops/chunks``: the chunks that live, and which slot and process has each.

It only reads. How many are in a chunk, slots say once a second, each of its fullest ones; of the
others nobody knows here.
"""

from __future__ import annotations

import re

import attrs

from common import topics
from common.bus import WorldCounts
from common.grid import ChunkId, Slot
from common.operators import OperatorToken, OwnedChunk
from common.times import timestamp
from gateway.http.grants import Time
from gateway.http.outside import Outside
from gateway.http.problems import Problem
from gateway.http.route import Ask, Route
from gateway.ops.callers import VIEWER
from gateway.ops.paging import next_cursor, page_of

_CHUNK = re.compile(r"-?[0-9]{1,10}:-?[0-9]{1,10}")


@attrs.frozen
class SeenChunk:
    """``slot`` is whose it is by the topology in force, ``shard`` the process that took it last.

    ``tick`` is that of its last snapshot. ``agents`` is left out when nobody said.
    """

    chunk: ChunkId
    slot: Slot
    shard: str
    epoch: int
    generation: int
    tick: int
    taken_at: Time
    agents: int | None = None


@attrs.frozen
class SeenChunks:
    items: list[SeenChunk]
    next_cursor: str | None


async def list_owned_chunks(ask: Ask[OperatorToken, None]) -> SeenChunks | Problem:
    page = page_of(ask.query, lambda text: _CHUNK.fullmatch(text) is not None)
    if isinstance(page, Problem):
        return page
    after = None if page.after is None else ChunkId(page.after)
    chunks = await ask.outside.operators.chunks(after, page.limit)
    counts = await ask.outside.bus.counts()
    cursor = next_cursor(page, chunks, lambda owned: owned.chunk)
    return SeenChunks([_seen(owned, counts, ask.outside) for owned in chunks], cursor)


def _seen(owned: OwnedChunk, counts: WorldCounts, outside: Outside) -> SeenChunk:
    return SeenChunk(
        owned.chunk,
        outside.routes.slot(owned.chunk),
        topics.process_of(owned.holder) or owned.holder,
        owned.epoch,
        owned.generation,
        owned.tick,
        timestamp(owned.taken_at),
        counts.busiest.get(owned.chunk),
    )


ROUTES = (
    Route(
        "GET",
        "/ops/chunks",
        "List the chunks that live, and who has them",
        VIEWER,
        type(None),
        list_owned_chunks,
        answers={SeenChunks: 200},
        refusals=("validation_failed",),
    ),
)
