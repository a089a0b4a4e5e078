"""Chunks that have become ours, and that another slot may still be running: not to be taken yet.

Taking one would be safe (the epoch shuts the other out) and costs a longer pause. So what is
for such a chunk is held until its owner of before has released it; or, since that one may be dead,
for HANDOVER_SECONDS after its last word. Then all that are ours by PostgreSQL's list are taken.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import trio

from common.envelopes import Released
from common.grid import ChunkId
from common.limits import HANDOVER_SECONDS, HANDOVER_SECONDS_MAX
from shard.chunks import Chunks
from shard.inbox import Inbox
from shard.pauses import PauseMeter
from shard.routes import Routes


@attrs.define(eq=False)
class Awaited:
    _routes: Routes
    _chunks: Chunks
    _inbox: Inbox
    _pauses: PauseMeter
    _settled: int = attrs.field(init=False)
    """The topology by which we know of each chunk that is ours."""
    _released: set[ChunkId] = attrs.field(factory=set, init=False)
    """Since ``_released_in`` came into force."""
    _released_in: int = attrs.field(default=0, init=False)
    _heard_at: float = attrs.field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self._settled = self._routes.topology.epoch

    def covers(self, chunk: ChunkId) -> bool:
        """Whether ``chunk`` must not be taken yet."""
        return (
            self._settled != self._routes.topology.epoch
            and self._routes.was_another_s(chunk)
            and self._chunks.peek(chunk) is None
            and not self._is_released(chunk)
        )

    def _is_released(self, chunk: ChunkId) -> bool:
        return self._released_in == self._routes.topology.epoch and chunk in self._released

    def released(self, message: Released) -> None:
        """The owner of before is done with a chunk of ours."""
        if self._released_in != self._routes.topology.epoch:
            self._released_in, self._released = self._routes.topology.epoch, set()
        self._released.add(message.chunk)
        self._heard_at = trio.current_time()
        if message.due_ms is not None:
            self._pauses.left(message.chunk, message.due_ms)
        self._chunks.want(message.chunk)

    @property
    def _until(self) -> float:
        """Until when the owners of before have time, as far as we know now."""
        since = max(self._routes.changed_at, self._heard_at)
        return min(since + HANDOVER_SECONDS, self._routes.changed_at + HANDOVER_SECONDS_MAX)

    async def run(self, list_chunks: Callable[[], Awaitable[None]]) -> None:
        """After each change, have what nobody released listed and taken by ``list_chunks``."""
        while True:
            await self._routes.wait_change(self._settled)
            while trio.current_time() < self._until:  # noqa: ASYNC110 - it is moved meanwhile.
                await trio.sleep_until(self._until)
            await list_chunks()
            self._inbox.release_all()

    def settle(self, epoch: int) -> None:
        """All chunks are known that are ours by the topology of ``epoch``; now take them."""
        self._settled = epoch
