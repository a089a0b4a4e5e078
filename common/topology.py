"""How many slots there are, who serves them, and how they are doing.

Pure. The topology in force is PostgreSQL's word; leases and beats are Redis', and are hints.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from common.grid import ChunkId, Slot


@attrs.frozen
class Topology:
    """``epoch`` rises with each change, also with one that was only asked for."""

    epoch: int
    shard_count: int

    @property
    def slots(self) -> frozenset[Slot]:
        return frozenset(map(Slot, range(self.shard_count)))


@attrs.frozen
class Topologies:
    """What is in force, and what is wanted: the same while no change is under way."""

    in_force: Topology
    wanted: Topology

    @property
    def is_changing(self) -> bool:
        return self.wanted != self.in_force


@attrs.frozen
class Pauses:
    """Of the chunks that came to a slot by a reshard: last tick due before, to first tick here."""

    epoch: int
    """The topology's that brought them."""
    chunks: int
    p50_ms: float
    p99_ms: float
    max_ms: float


@attrs.frozen
class SlotBeat:
    """How a slot is doing; lateness is that of the ticks since the last beat."""

    holder: str
    chunks: int
    agents: int
    lateness_ms: float
    """The 99th percentile."""
    busiest: Mapping[ChunkId, int] = attrs.field(factory=dict)
    """Agents in each active chunk; of more than BUSIEST_MAX those with the most agents."""
    lateness_p50_ms: float = 0.0
    epoch: int = 0
    """Of the topology that its holder goes by."""
    is_draining: bool = False
    """Its holder hands over all that it has, and ends."""
    leaving: int = 0
    """Chunks that are no longer the slot's and not yet handed over."""
    moved: Pauses | None = None
    """Of the last reshard that brought it chunks."""


@attrs.frozen
class ProcessBeat:
    """What a shard process has: slots that it serves, and chunks in all of them."""

    slots: tuple[Slot, ...] = ()
    chunks: int = 0
    is_draining: bool = False


@attrs.frozen
class SlotState:
    """A slot as Redis knows it: held, or with something in its stream, or both."""

    process: str | None
    """Whose lease it is; None: nobody's."""
    waiting: int
    """Messages in its stream, also those being dealt with."""
    beat: SlotBeat | None = None
    """The last one, when it is fresh; None also in a shard's look."""


@attrs.frozen
class Survey:
    """Who is there, in one moment: ``slots`` has no entry for a slot of which there is nothing."""

    slots: Mapping[Slot, SlotState] = attrs.field(factory=dict)
    processes: Mapping[str, ProcessBeat] = attrs.field(factory=dict)
    """Those whose beat is fresh."""
    is_told_to_drain: bool = False
    """Of the process that asks."""

    @property
    def holders(self) -> Mapping[Slot, str]:
        return {slot: state.process for slot, state in self.slots.items() if state.process}
