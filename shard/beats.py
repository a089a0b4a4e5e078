"""How a slot is doing, counted when it is asked; ``shard.pulse`` asks once a second."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import nsmallest

import attrs

from common.grid import ChunkId
from common.limits import BUSIEST_MAX
from common.topology import SlotBeat
from shard.chunks import Chunks
from shard.handover import Handover
from shard.inbox import Inbox
from shard.lateness import Lateness
from shard.outbox import Outbox
from shard.pauses import PauseMeter
from shard.routes import Routes


@attrs.frozen
class Figures:
    """What the metrics say of a process is the sum over its slots."""

    agents: int = 0
    chunks: int = 0
    awake: int = 0
    pending: int = 0
    inbox: int = 0
    held: int = 0
    outbox: int = 0
    records: int = 0

    def __add__(self, other: Figures) -> Figures:
        mine, theirs = attrs.astuple(self), attrs.astuple(other)
        return Figures(*(one + two for one, two in zip(mine, theirs, strict=True)))


@attrs.define(eq=False)
class Beats:
    _routes: Routes
    _holder: str
    _chunks: Chunks
    _lateness: Lateness
    _inbox: Inbox
    _outbox: Outbox
    _records: Outbox
    _handover: Handover
    _pauses: PauseMeter

    def count(self) -> tuple[SlotBeat, Figures]:
        """Count now; lateness is that of the ticks since the last time."""
        agents = awake = 0
        active: dict[ChunkId, int] = {}
        for live in self._chunks:  # Once through all of them: a millisecond for 10,000.
            inside = len(live.state.agents)
            agents += inside
            awake += not live.is_resting
            if inside or not live.is_resting:
                active[live.id] = inside
        p50_ms, p99_ms = self._lateness.take_ms()
        beat = SlotBeat(
            self._holder,
            len(active),
            agents,
            p99_ms,
            busiest(active.items()),
            p50_ms,
            self._routes.topology.epoch,
            leaving=self._handover.leaving,
            moved=self._pauses.summary(),
        )
        return beat, Figures(
            agents,
            len(self._chunks),
            awake,
            len(self._chunks.pending),
            len(self._inbox),
            self._inbox.held,
            len(self._outbox),
            len(self._records),
        )

    @property
    def chunks(self) -> int:
        """How many it has, or is about to load."""
        return len(self._chunks) + len(self._chunks.pending)


def busiest(active: Iterable[tuple[ChunkId, int]]) -> Mapping[ChunkId, int]:
    """Return the BUSIEST_MAX of ``active`` (chunk, agents) with the most agents, those first."""
    return dict(nsmallest(BUSIEST_MAX, active, key=lambda chunk: (-chunk[1], chunk[0])))
