"""Making chunks ours: take them, shut out older owners, recover them, let them tick.

Batches, so that whoever needs one chunk at once does not wait for thousands. A chunk that is
taken but not begun stays pending: it is taken again, which is safe. One that can't be replayed is a
bug that would end each process in turn; so it is left alone, and the others of its slot go on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

import attrs
import structlog
import trio

from common.bus import Forward
from common.envelopes import Released
from common.errors import Trouble
from common.grid import ChunkId, Tick
from common.journal import Taken
from common.limits import (
    BACKOFF_SECONDS_MIN,
    CREATION_MS,
    POSTGRES_SECONDS_MAX,
    REDIS_SECONDS_MAX,
    TAKE_BATCH_MAX,
)
from shard.awaited import Awaited
from shard.border import Border
from shard.chunks import Chunks
from shard.emission import Emission
from shard.live import Live
from shard.outbox import Outbox
from shard.patience import bounded, insist, next_pause
from shard.ports import Bus, Journal, Leases
from shard.recovery import recover
from shard.routes import Routes

_log = structlog.get_logger()

SPOILT = "a chunk cannot be recovered and is left alone"
"""Who looks for bugs looks for this in a log."""


@attrs.define(eq=False)
class Loader:
    _bus: Bus
    _leases: Leases
    _journal: Journal
    _chunks: Chunks
    _outbox: Outbox
    _border: Border
    _routes: Routes
    _holder: str
    _seed: int
    _loaded: Callable[[ChunkId], None]
    _awaited: Awaited
    _look: Callable[[], Awaitable[None]]
    """Looks at the topology; what is then no longer ours is not taken."""
    _turn: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    async def list_chunks(self) -> None:
        """Find out which chunks have something in them: they are pending from now on.

        Behind them, those that were left empty: whoever holds them sees to their collection.
        """
        epoch = self._routes.topology.epoch
        inhabited = await insist("listing chunks", POSTGRES_SECONDS_MAX, self._journal.chunks)
        empty = await insist("listing chunks", POSTGRES_SECONDS_MAX, self._journal.leftovers)
        self._awaited.settle(epoch)
        self._chunks.want(*(one for one in (*inhabited, *empty) if self._is_to_be_taken(one)))

    def _is_to_be_taken(self, chunk: ChunkId) -> bool:
        return self._routes.is_ours(chunk) and not self._awaited.covers(chunk)

    async def run(self) -> None:
        """Load what is pending, until cancelled."""
        pause = 0.0
        while True:
            await self._chunks.wait_pending()
            # What is no longer ours is another's to load; what has become ours is listed again.
            self._chunks.unwant(
                [one for one in self._chunks.pending if not self._is_to_be_taken(one)]
            )
            batch = list(self._chunks.pending)[:TAKE_BATCH_MAX]
            try:
                await self.load(batch)
                pause = 0.0
            except Trouble as trouble:
                pause = next_pause(pause)
                _log.warning("cannot load chunks", chunks=len(batch), trouble=str(trouble))
                await trio.sleep(pause)

    async def load(self, chunks: Iterable[ChunkId]) -> None:
        """Have ``chunks`` ready when this returns. New ones are created."""
        async with self._turn:
            wanted = [
                chunk
                for chunk in chunks
                if self._chunks.peek(chunk) is None
                and chunk not in self._chunks.spoilt
                and self._is_to_be_taken(chunk)
            ]
            for start in range(0, len(wanted), TAKE_BATCH_MAX):
                await self._take(wanted[start : start + TAKE_BATCH_MAX])

    async def _take(self, chunks: list[ChunkId]) -> None:
        await bounded(POSTGRES_SECONDS_MAX, lambda: self._chunks.wait_forgotten(chunks))
        await self._claim([chunk for chunk in chunks if chunk not in self._chunks.pending])
        topology = self._routes.topology.epoch
        taken = await bounded(
            POSTGRES_SECONDS_MAX, lambda: self._journal.take(chunks, self._holder, topology)
        )
        if not taken:
            await self._look()  # It has changed.
            return
        epochs = {one.chunk: one.epoch for one in taken}
        published = await bounded(REDIS_SECONDS_MAX, lambda: self._bus.fence(epochs))
        for one in taken:
            # Some ms of replay each: the chunks that tick already come in between.
            await self._outbox.wait_room()
            await trio.lowlevel.checkpoint()
            if self._routes.is_ours(one.chunk):
                self._begin(one, published)
            else:
                self._give_up(one.chunk)

    async def _claim(self, chunks: list[ChunkId]) -> None:
        """Let another finish who is about to create one of ``chunks``, for as long as it may take.

        It spares two processes from taking a chunk from each other in turns while a slot changes
        hands, and no more: after that, and whenever Redis knows no better, PostgreSQL decides.
        """
        with trio.move_on_after(CREATION_MS / 1000):
            while chunks:
                if await bounded(
                    REDIS_SECONDS_MAX, lambda: self._leases.claim(chunks, self._holder)
                ):
                    return
                await trio.sleep(BACKOFF_SECONDS_MIN)

    def _give_up(self, chunk: ChunkId) -> None:
        """It has become another's while we took it, and its new owner may wait for us."""
        self._chunks.unwant([chunk])
        forward = Forward(self._routes.slot_of(chunk), Released(chunk))
        self._outbox.put(Emission(forwards=(forward,)))
        self._loaded(chunk)

    def _begin(self, taken: Taken, published: Mapping[ChunkId, Tick]) -> None:
        try:
            recovered = recover(taken, published.get(taken.chunk), self._seed)
        except Exception as error:  # noqa: BLE001 - pure code, so it would raise in every process.
            _log.error(SPOILT, chunk=taken.chunk, error=repr(error), exc_info=True)
            self._chunks.spoil(taken.chunk)
            self._loaded(taken.chunk)  # What is held for it is given up.
            return
        for emission in recovered.emissions:
            self._outbox.put(emission)
        live = Live(recovered.chunk, taken.epoch)
        live.kept_tick = taken.tick
        live.is_new = not live.may_rest
        for agent in recovered.chunk.agents.values():
            if agent.transfer is not None:
                self._border.found(agent.transfer, agent.id, live.id)
        self._chunks.add(live)
        self._loaded(live.id)
