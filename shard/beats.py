"""Once a second: how this slot is doing, for Redis and for the metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from heapq import nsmallest

import attrs
import trio

from common.errors import Trouble
from common.grid import ChunkId
from common.limits import BEAT_SECONDS, BUSIEST_MAX, REDIS_SECONDS_MAX
from common.topology import SlotBeat
from shard import metrics
from shard.chunks import Chunks
from shard.inbox import Inbox
from shard.lateness import Lateness
from shard.outbox import Outbox
from shard.patience import bounded
from shard.ports import Bus
from shard.routes import Routes


@attrs.define(eq=False)
class Beats:
    _bus: Bus
    _routes: Routes
    _holder: str
    _chunks: Chunks
    _lateness: Lateness
    _inbox: Inbox
    _outbox: Outbox
    _records: Outbox

    async def run(self) -> None:
        while True:
            beat = self._beat()
            with suppress(Trouble):  # The next one says the same; others say that Redis is away.
                await bounded(
                    REDIS_SECONDS_MAX,
                    lambda: self._bus.beat(self._routes.slot, beat),  # noqa: B023 - awaited here
                )
            await trio.sleep(BEAT_SECONDS)

    def _beat(self) -> SlotBeat:
        agents = awake = 0
        active: dict[ChunkId, int] = {}
        for live in self._chunks:  # Once through all of them: a millisecond for 10,000.
            inside = len(live.state.agents)
            agents += inside
            awake += not live.is_resting
            if inside or not live.is_resting:
                active[live.id] = inside
        metrics.AGENTS.set(agents)
        metrics.CHUNKS.set(len(self._chunks))
        metrics.CHUNKS_AWAKE.set(awake)
        metrics.CHUNKS_PENDING.set(len(self._chunks.pending))
        metrics.QUEUE.labels("inbox").set(len(self._inbox))
        metrics.QUEUE.labels("held").set(self._inbox.held)
        metrics.QUEUE.labels("outbox").set(len(self._outbox))
        metrics.QUEUE.labels("records").set(len(self._records))
        late_ms = self._lateness.take_p99_ms()
        return SlotBeat(self._holder, len(active), agents, late_ms, busiest(active.items()))


def busiest(active: Iterable[tuple[ChunkId, int]]) -> Mapping[ChunkId, int]:
    """Return the BUSIEST_MAX of ``active`` (chunk, agents) with the most agents, those first."""
    return dict(nsmallest(BUSIEST_MAX, active, key=lambda chunk: (-chunk[1], chunk[0])))
