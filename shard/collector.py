"""The end of a chunk: one with nobody in it, nobody watching and nothing in flight is collected.

It decides which, and parts with them; that PostgreSQL forgets them comes through the outbox, after
all that was said about them. Who watches, Redis knows: gateways say it again and again. The last
tick is kept, and is later than any that was shown, so no stream goes on into the next generation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import structlog
import trio

from common.errors import Trouble
from common.grid import ChunkId, Tick
from common.journal import Retired
from common.limits import (
    COLLECT_BATCH_MAX,
    COLLECT_LOOKS,
    REDIS_SECONDS_MAX,
)
from shard import metrics
from shard.chunks import Chunks
from shard.emission import Emission
from shard.inbox import Inbox
from shard.live import Live
from shard.outbox import Outbox
from shard.patience import bounded
from shard.ports import Bus

_log = structlog.get_logger()


@attrs.define(eq=False)
class Collector:
    _bus: Bus
    _chunks: Chunks
    _inbox: Inbox
    _outbox: Outbox
    _forget: Callable[[ChunkId], None]
    """Called when what was known of a chunk's generation is about to become wrong."""
    _seconds: float
    """For so long a chunk must have been deserted."""
    _ends: dict[ChunkId, Tick] = attrs.field(factory=dict, init=False)
    """Generations that are over, and Redis has not heard of it."""

    async def run(self) -> None:
        """Collect, until cancelled."""
        while True:
            await trio.sleep(self._seconds / COLLECT_LOOKS)
            try:
                await self._conclude()
                asked = [live for live in self._chunks if self._is_to_be_asked_about(live)]
                for start in range(0, len(asked), COLLECT_BATCH_MAX):
                    await self._look_at(asked[start : start + COLLECT_BATCH_MAX])
            except Trouble as trouble:
                _log.warning("cannot ask who watches", trouble=str(trouble))

    def collected(self, retired: Retired) -> None:
        """PostgreSQL has forgotten it."""
        self._chunks.forget(retired.chunk)
        self._ends[retired.chunk] = retired.tick
        metrics.CHUNKS_COLLECTED.inc()

    def left_alone(self, retired: Retired) -> None:
        """PostgreSQL knows better: another has taken it, or there is something in it after all."""
        _log.warning("chunk could not be collected", chunk=retired.chunk, epoch=retired.epoch)
        self._chunks.forget(retired.chunk)
        self._chunks.want(retired.chunk)

    async def _conclude(self) -> None:
        """A courtesy, so it may be lost: whoever missed it would be shown a chunk once too often.

        Only now: until PostgreSQL had forgotten them, they could still go on.
        """
        ends, self._ends = self._ends, {}
        if ends:
            await bounded(REDIS_SECONDS_MAX, lambda: self._bus.conclude(ends))

    async def _look_at(self, lives: Sequence[Live]) -> None:
        chunks = [live.id for live in lives]
        unwatched_ms = await bounded(REDIS_SECONDS_MAX, lambda: self._bus.unwatched_ms(chunks))
        # No await from here on: what is found out now is acted on now.
        now = trio.current_time()
        for live in lives:
            live.watched_at = now - unwatched_ms[live.id] / 1000
            if self._is_over(live, now):
                self._retire(live)

    def _is_to_be_asked_about(self, live: Live) -> bool:
        """Also when it was just deserted: from then on Redis counts for how long."""
        if not self._is_deserted(live):
            return False
        return live.watched_at is None or live.idle_seconds(trio.current_time()) >= self._seconds

    def _is_deserted(self, live: Live) -> bool:
        return live.is_deserted and not self._inbox.holds(live.id)

    def _is_over(self, live: Live, now: float) -> bool:
        if live.is_lost or not self._is_deserted(live):
            return False
        live.catch_up()
        return live.idle_seconds(now) >= self._seconds and live.state.changed < live.state.tick

    def _retire(self, live: Live) -> None:
        self._chunks.retire(live)
        self._forget(live.id)
        retired = Retired(live.id, live.epoch, live.state.tick)
        self._outbox.put(Emission(retired=(retired,)))
