"""The chunks of the slot that this process holds: which are here, which are yet to be loaded.

It starts and ends their tasks, and knows nothing of what is in them. ``pending`` are those that
have something in them but are not loaded: nobody may act as if they were empty. ``spoilt`` are
those that this process can't load at all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator

import attrs
import structlog
import trio

from common.grid import ChunkId
from shard import metrics
from shard.live import Live

_log = structlog.get_logger()


@attrs.define(eq=False)
class Chunks:
    _nursery: trio.Nursery
    _tick: Callable[[Live], Awaitable[None]]
    """The chunk's task: runs while there is something to do."""
    pending: dict[ChunkId, None] = attrs.field(factory=dict, init=False)
    """In order, so that the first is loaded first."""
    spoilt: set[ChunkId] = attrs.field(factory=set, init=False)
    """What is kept of them makes no sense to our rules: nobody can act in them, others go on."""
    _lives: dict[ChunkId, Live] = attrs.field(factory=dict, init=False)
    _retired: dict[ChunkId, trio.Event] = attrs.field(factory=dict, init=False)
    """Those that we parted with and that PostgreSQL still knows; set once it has forgotten."""
    _stirred: dict[ChunkId, Live] = attrs.field(factory=dict, init=False)
    """Those that may have something that is not saved."""
    _wanted: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __iter__(self) -> Iterator[Live]:
        return iter(tuple(self._lives.values()))

    def __len__(self) -> int:
        return len(self._lives)

    def peek(self, id: ChunkId) -> Live | None:
        return self._lives.get(id)

    def get(self, id: ChunkId) -> Live | None:
        """Return the chunk as of now, for whoever decides about it."""
        live = self._lives.get(id)
        if live is not None:
            live.catch_up()
            live.touched_at = trio.current_time()
        return live

    def add(self, live: Live) -> None:
        assert live.id not in self._lives, f"{live.id} is here already"
        self._lives[live.id] = live
        self.pending.pop(live.id, None)
        self._stirred[live.id] = live
        self.wake(live)

    def wake(self, live: Live) -> None:
        """Start the chunk's task, if it has something to do and does not run."""
        if live.is_resting and not live.is_lost and not live.may_rest:
            live.is_resting = False
            live.touched_at = trio.current_time()
            self._stirred[live.id] = live
            self._nursery.start_soon(self._tick, live)

    def unsaved(self) -> Iterable[Live]:
        """Return those that changed since they were saved; costs what stirred, not what there is.

        What rests and is saved stirs when it is woken.
        """
        self._stirred = {
            live.id: live
            for live in self._stirred.values()
            if not live.is_lost and (live.has_changed or not live.is_resting)
        }
        return [live for live in self._stirred.values() if live.has_changed]

    def want(self, *ids: ChunkId) -> None:
        """Have ``ids`` loaded, unless they are here, or can't be."""
        wanted = (id for id in ids if id not in self._lives and id not in self.spoilt)
        self.pending.update(dict.fromkeys(wanted))
        self._wanted.set()
        self._wanted = trio.Event()

    def unwant(self, ids: Iterable[ChunkId]) -> None:
        for id in ids:
            self.pending.pop(id, None)

    async def wait_pending(self) -> None:
        while not self.pending:
            await self._wanted.wait()

    def spoil(self, id: ChunkId) -> None:
        """Give ``id`` up, for as long as we have the slot."""
        self.pending.pop(id, None)
        self.spoilt.add(id)
        metrics.CHUNKS_SPOILT.inc()

    def lose(self, id: ChunkId) -> None:
        """Drop a chunk that somebody else has taken; it is taken back if the slot is still ours."""
        live = self._lives.pop(id, None)
        if live is not None:
            _log.warning("chunk was taken by another", chunk=id, epoch=live.epoch)
            metrics.CHUNKS_LOST.inc()
            live.is_lost = True
            live.scope.cancel()
            self.want(id)

    def part(self, live: Live) -> None:
        """Drop a chunk that is another slot's by now."""
        del self._lives[live.id]
        live.is_lost = True
        live.scope.cancel()

    # The end of a chunk

    def retire(self, live: Live) -> None:
        """Part with a chunk in which nothing is; it is not taken anew before ``forget``."""
        assert live.is_deserted, f"{live.id} is not deserted"
        del self._lives[live.id]
        live.is_lost = True
        self._retired[live.id] = trio.Event()

    def forget(self, id: ChunkId) -> None:
        """PostgreSQL has dealt with a chunk that was retired."""
        self._retired.pop(id).set()

    async def wait_forgotten(self, ids: Iterable[ChunkId]) -> None:
        """Wait until PostgreSQL has dealt with those of ``ids`` that are retired."""
        for id in ids:
            if (forgotten := self._retired.get(id)) is not None:
                await forgotten.wait()
