"""A shard's ports, through its cable, and a witness to what it writes.

They decide nothing. The witness sees each write in the very step in which it happens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from common.bus import Outgoing, RanOut, Received
from common.grid import AgentId, ChunkId, Epoch, SessionId, Slot, Tick, TransferId
from common.journal import (
    Committed,
    Conflict,
    Fact,
    Retired,
    Row,
    Snapshot,
    Taken,
    TransferState,
    World,
)
from common.topology import ProcessBeat, SlotBeat, Survey, Topologies
from ops.simulate.network import Cable
from ops.simulate.rerun import Rerun
from ops.simulate.writers import Writers
from shard.ports import Bus, Journal, Leases


@attrs.frozen(eq=False)
class CableShardBus:
    _bus: Bus
    _cable: Cable

    async def receive(self, slot: Slot, after: str, count: int, wait_ms: int) -> Sequence[Received]:
        return await self._cable.call(lambda: self._bus.receive(slot, after, count, wait_ms))

    async def done(self, slot: Slot, upto: str) -> None:
        await self._cable.call(lambda: self._bus.done(slot, upto))

    async def publish(
        self, slot: Slot, holder: str, outgoing: Outgoing
    ) -> frozenset[ChunkId] | None:
        return await self._cable.call(
            lambda: self._bus.publish(slot, holder, outgoing), may_repeat=True
        )

    async def fence(self, chunks: Mapping[ChunkId, Epoch]) -> Mapping[ChunkId, Tick]:
        return await self._cable.call(lambda: self._bus.fence(chunks))

    async def conclude(self, ends: Mapping[ChunkId, Tick]) -> None:
        await self._cable.call(lambda: self._bus.conclude(ends), may_repeat=True)

    async def absent(self, sessions: Iterable[SessionId]) -> Sequence[SessionId]:
        return await self._cable.call(lambda: self._bus.absent(sessions))

    async def reprieve(self, sessions: Iterable[SessionId]) -> None:
        await self._cable.call(lambda: self._bus.reprieve(sessions))

    async def ran_out(self, since_ms: int | None) -> RanOut:
        return await self._cable.call(lambda: self._bus.ran_out(since_ms))

    async def unwatched_ms(self, chunks: Iterable[ChunkId]) -> Mapping[ChunkId, int]:
        return await self._cable.call(lambda: self._bus.unwatched_ms(chunks))

    async def beat(self, slot: Slot, beat: SlotBeat) -> None:
        await self._cable.call(lambda: self._bus.beat(slot, beat))

    async def beat_process(self, process: str, beat: ProcessBeat) -> None:
        await self._cable.call(lambda: self._bus.beat_process(process, beat))

    async def part(self, process: str) -> None:
        await self._cable.call(lambda: self._bus.part(process))

    async def survey(self, process: str) -> Survey:
        return await self._cable.call(lambda: self._bus.survey(process))

    async def news(self, after: str, wait_ms: int) -> str:
        return await self._cable.call(lambda: self._bus.news(after, wait_ms))

    async def announce(self) -> None:
        await self._cable.call(self._bus.announce)

    async def ping(self) -> None:
        await self._cable.call(self._bus.ping)


@attrs.frozen(eq=False)
class CableLeases:
    _leases: Leases
    _cable: Cable

    async def acquire(self, slot: Slot, holder: str) -> bool:
        return await self._cable.call(lambda: self._leases.acquire(slot, holder))

    async def renew(self, slot: Slot, holder: str) -> bool:
        return await self._cable.call(lambda: self._leases.renew(slot, holder))

    async def release(self, slot: Slot, holder: str) -> None:
        await self._cable.call(lambda: self._leases.release(slot, holder))

    async def claim(self, chunks: Sequence[ChunkId], holder: str) -> bool:
        return await self._cable.call(lambda: self._leases.claim(chunks, holder))


@attrs.frozen(eq=False)
class CableJournal:
    _journal: Journal
    _cable: Cable
    _writers: Writers
    _rerun: Rerun
    _name: str

    async def world(self) -> World:
        return await self._cable.call(self._journal.world)

    async def topologies(self) -> Topologies:
        return await self._cable.call(self._journal.topologies)

    async def begin_topology(self, epoch: int) -> Topologies:
        return await self._cable.call(lambda: self._journal.begin_topology(epoch), may_repeat=True)

    async def chunks(self) -> Sequence[ChunkId]:
        return await self._cable.call(self._journal.chunks)

    async def leftovers(self) -> Sequence[ChunkId]:
        return await self._cable.call(self._journal.leftovers)

    async def take(
        self, chunks: Sequence[ChunkId], holder: str, topology: int | None = None
    ) -> Sequence[Taken]:
        async def act() -> Sequence[Taken]:
            taken = await self._journal.take(chunks, holder, topology)
            self._writers.took(self._name, taken)
            return taken

        return await self._cable.call(act)

    async def generation(self, chunk: ChunkId) -> tuple[int, Tick]:
        return await self._cable.call(lambda: self._journal.generation(chunk))

    async def commit(self, rows: Sequence[Row]) -> Committed | Conflict:
        async def act() -> Committed | Conflict:
            outcome = await self._journal.commit(rows)
            if isinstance(outcome, Committed):
                self._writers.wrote(self._name, rows, outcome.fenced)
            return outcome

        return await self._cable.call(act)

    async def record(self, facts: Sequence[Fact]) -> frozenset[ChunkId]:
        async def act() -> frozenset[ChunkId]:
            fenced = await self._journal.record(facts)
            self._writers.wrote(self._name, facts, fenced)
            return fenced

        return await self._cable.call(act)

    async def save(
        self, snapshots: Sequence[Snapshot], empty: frozenset[ChunkId]
    ) -> frozenset[ChunkId]:
        async def act() -> frozenset[ChunkId]:
            fenced = await self._journal.save(snapshots, empty)
            self._writers.wrote(self._name, snapshots, fenced)
            return fenced

        return await self._cable.call(act)

    async def collect(self, retired: Sequence[Retired]) -> frozenset[ChunkId]:
        async def act() -> frozenset[ChunkId]:
            for one in retired:
                self._rerun.check(one.chunk)
            left_alone = await self._journal.collect(retired)
            for one in retired:
                if one.chunk not in left_alone:
                    self._writers.collected(self._name, one)
            return left_alone

        return await self._cable.call(act, may_repeat=True)

    async def transfer(self, transfer: TransferId) -> TransferState | None:
        return await self._cable.call(lambda: self._journal.transfer(transfer))

    async def cancel_transfer(self, transfer: TransferId) -> TransferState:
        return await self._cable.call(lambda: self._journal.cancel_transfer(transfer))

    async def whereabouts(self, agent: AgentId) -> ChunkId | None:
        return await self._cable.call(lambda: self._journal.whereabouts(agent))

    async def prune(self) -> int:
        return await self._cable.call(self._journal.prune)

    async def ping(self) -> None:
        await self._cable.call(self._journal.ping)
