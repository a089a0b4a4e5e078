"""Servers with one of their promises switched off: what the harness must notice.

For tests of the harness only. Production code has no such switch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from common.adapters.memory_journal import MemoryJournal
from common.adapters.memory_shard_bus import MemoryShardBus
from common.bus import Delta, PublishedDelta, Refusal
from common.envelopes import SessionLine
from common.events import Entered, Left, Moved
from common.frames import ChunkDelta, Entity
from common.grid import ChunkId, Epoch, Slot, Tick, TransferId
from common.journal import Conflict, Retired, Row, Taken, TransferState
from common.replica import Replica
from gateway.agent.admission import _read_lines as read_lines
from gateway.agent.docket import Docket
from gateway.agent.knock import Resume
from gateway.stream.audience import Audience, Member
from gateway.stream.fanout import FanOut
from gateway.stream.follow import Static
from gateway.stream.position import Mark, Position
from gateway.stream.position import decode as decode_position
from gateway.stream.replay import missed as replay_missed
from ops.simulate.servers import Adapters
from shard.crew import Crew
from shard.inbox import Inbox

fan_out_join = FanOut.join


def drop_held(inbox: Inbox, chunk: ChunkId) -> None:
    """Forget what waits for a chunk that moves, instead of dealing with it."""
    inbox._held.pop(chunk, None)


def needs_no_orphans(crew: Crew) -> frozenset[Slot]:
    """Leave alone what lies in streams of slots that are no more."""
    topologies = crew._outlook.topologies
    return topologies.in_force.slots | topologies.wanted.slots


class AlwaysFinal(MemoryJournal):
    """Says of every snapshot that nothing happened after it."""

    async def take(
        self, chunks: Sequence[ChunkId], holder: str, topology: int | None = None
    ) -> Sequence[Taken]:
        taken = await super().take(chunks, holder, topology)
        return [attrs.evolve(one, is_final=True) for one in taken]


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


class FatalJournal(MemoryJournal):
    """Ends the process that makes it, as the system does when memory runs out."""

    def __init__(self, *_: Any) -> None:
        os._exit(1)


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


def ticks_off(by: int) -> Callable[[str], Position | None]:
    """Read ids as if each chunk had been told up to ``by`` ticks more."""

    def decode(text: str) -> Position | None:
        position = decode_position(text)
        if position is None:
            return None
        return {
            chunk: Mark(mark.generation, Tick(mark.tick + by)) for chunk, mark in position.items()
        }

    return decode


def missed_but_the_last(
    mark: Mark, shown: Static, deltas: Sequence[Delta] | None
) -> Sequence[Delta] | None:
    """A replay that ends one too early."""
    missed = replay_missed(mark, shown, deltas)
    return missed[:-1] if missed else missed


async def lines_from_before(
    resume: Resume | None, *others: Any
) -> tuple[Docket, Sequence[SessionLine]]:
    """A resume that begins one line too early."""
    if resume is not None and resume.last_seq:
        resume = attrs.evolve(resume, last_seq=resume.last_seq - 1)
    return await read_lines(resume, *others)


def join_whoever_comes(
    self: FanOut, member: Member, chunks: tuple[ChunkId, ...], position: Position, beat_at: float
) -> Audience | None:
    """As if all who watch the same had been told the same."""
    audience = self._audiences.get(chunks)
    return fan_out_join(self, member, chunks, audience.position if audience else position, beat_at)


UNFENCED = Adapters(journal=UnfencedJournal, shard_bus=UnfencedBus)
FORGETFUL = Adapters(journal=ForgetfulJournal)
INDIFFERENT = Adapters(journal=IndifferentJournal)
LEAVING = Adapters(shard_bus=LeavingBus)
TRUSTING = Adapters(journal=TrustingJournal)
FINAL = Adapters(journal=AlwaysFinal)
FATAL = Adapters(journal=FatalJournal)
AGELESS = Adapters(journal=AgelessJournal)
