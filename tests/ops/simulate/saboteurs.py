"""Servers with one of their promises switched off: what the harness must notice.

For tests of the harness only. Production code has no such switch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from common.adapters.memory_journal import MemoryJournal
from common.adapters.memory_shard_bus import MemoryShardBus
from common.bus import PublishedDelta, Refusal
from common.events import Entered, Left, Moved
from common.frames import ChunkDelta, Entity
from common.grid import ChunkId, Epoch, Slot, TransferId
from common.journal import Conflict, Retired, Row, TransferState
from common.replica import Replica
from ops.simulate.servers import Adapters


class UnfencedJournal(MemoryJournal):
    """Lets everybody write, whatever the epoch."""

    def _fenced(self, mine: Iterable[tuple[ChunkId, Epoch]]) -> frozenset[ChunkId]:
        return frozenset()


class UnfencedBus(MemoryShardBus):
    """Lets everybody publish, whatever the epoch and whoever has the slot."""

    def _may_publish(self, slot: Slot, holder: str) -> bool:
        return True

    def _is_shut_out(self, delta: PublishedDelta) -> bool:
        return False


class LeavingBus(MemoryShardBus):
    """Tells what is refused, and leaves it where it was."""

    def _refuse(self, slot: Slot, refusal: Refusal) -> bool:
        return refusal.is_told


class ForgetfulJournal(MemoryJournal):
    """Knows no command when it comes again."""

    def _conflict(self, rows: Sequence[Row]) -> Conflict | None:
        known, self._postgres.commands = self._postgres.commands, {}
        try:
            return super()._conflict(rows)
        finally:
            self._postgres.commands = known


class IndifferentJournal(MemoryJournal):
    """Lets both sides decide a transfer: the first word does not count."""

    def _conflict(self, rows: Sequence[Row]) -> Conflict | None:
        decided, self._postgres.transfers = self._postgres.transfers, {}
        try:
            return super()._conflict(rows)
        finally:
            self._postgres.transfers = decided

    async def cancel_transfer(self, transfer: TransferId) -> TransferState:
        await super().cancel_transfer(transfer)
        return "cancelled"


class TrustingJournal(MemoryJournal):
    """Lets every session drive, also one that is over."""

    def _conflict(self, rows: Sequence[Row]) -> Conflict | None:
        return super()._conflict([attrs.evolve(row, driver=None) for row in rows])


class AgelessJournal(MemoryJournal):
    """Lets a chunk that was collected come back as the generation that it was."""

    def _collect(self, retired: Retired) -> None:
        super()._collect(retired)
        self._postgres.chunks[retired.chunk].generation -= 1


def fold_anything(replica: Replica, delta: ChunkDelta) -> Replica:
    """As ``fold``, without looking whether ``delta`` is the next one."""
    entities = dict(replica.entities)
    for event in delta.events:
        match event:
            case Entered(id=id, kind=kind, x=x, y=y, name=name):
                entities[id] = Entity(id, kind, x, y, name)
            case Moved(id=id, x=x, y=y) if id in entities:
                entities[id] = attrs.evolve(entities[id], x=x, y=y)
            case Left(id=id):
                entities.pop(id, None)
            case _:
                pass
    return attrs.evolve(replica, tick=delta.tick, entities=entities)


def follows_somehow(replica: Replica, delta: ChunkDelta) -> bool:
    """The gap check, switched off: whatever is later is the next."""
    return replica.tick < delta.tick


UNFENCED = Adapters(journal=UnfencedJournal, shard_bus=UnfencedBus)
FORGETFUL = Adapters(journal=ForgetfulJournal)
INDIFFERENT = Adapters(journal=IndifferentJournal)
LEAVING = Adapters(shard_bus=LeavingBus)
TRUSTING = Adapters(journal=TrustingJournal)
AGELESS = Adapters(journal=AgelessJournal)
