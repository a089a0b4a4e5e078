"""What a shard needs from outside, in its own words.

Protocols only. Real and in-memory adapters live in ``common.adapters`` and keep one set of
contract tests. Every call may raise Unavailable or InDoubt (``common.errors``) and nothing
else; none retries by itself. The caller bounds how long it waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

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


class Bus(Protocol):
    """Redis, for a shard."""

    async def receive(self, slot: Slot, after: str, count: int, wait_ms: int) -> Sequence[Received]:
        """Up to ``count`` messages after ``after`` ("0": from the first), in order.

        Waits for the first one up to ``wait_ms``, then returns none.
        """

    async def done(self, slot: Slot, upto: str) -> None:
        """Everything up to ``upto`` is durable or answered: forget it."""

    async def publish(
        self, slot: Slot, holder: str, outgoing: Outgoing
    ) -> frozenset[ChunkId] | None:
        """Publish in one call; return the chunks for which a newer epoch has published.

        None, and nothing was done, when ``slot`` is not ``holder``'s: the holders of a slot write
        one after the other. A delta whose tick is not later than the last published one, and a
        line whose seq is not later than the last kept one, were published before: they are passed
        over; so is what has left the slot's stream (see Refusal, Forward). Safe to repeat.
        """

    async def fence(self, chunks: Mapping[ChunkId, Epoch]) -> Mapping[ChunkId, Tick]:
        """Shut out older epochs; return the last published tick of each chunk that has one."""

    async def conclude(self, ends: Mapping[ChunkId, Tick]) -> None:
        """Count each tick as published, though nothing was: a generation ended there.

        Who fills a gap from the stream then learns that it is not the same chunk any more.
        """

    async def absent(self, sessions: Iterable[SessionId]) -> Sequence[SessionId]:
        """Those whose presence ran out.

        One that Redis knows nothing of (it may have lost it) is given RESUME_MS first.
        """

    async def ran_out(self, since_ms: int | None) -> RanOut:
        """Those whose presence ran out since then, however many there are; None: only the time.

        Quick, but not the last word: one that Redis has lost is not among them.
        """

    async def reprieve(self, sessions: Iterable[SessionId]) -> None:
        """Give each at least RESUME_MS from now: Redis was away, and nobody could come back."""

    async def unwatched_ms(self, chunks: Iterable[ChunkId]) -> Mapping[ChunkId, int]:
        """For how long no gateway has said that it watches each.

        One that Redis knows nothing of (it may have lost it) counts from now on.
        """

    async def beat(self, slot: Slot, beat: SlotBeat) -> None: ...

    async def beat_process(self, process: str, beat: ProcessBeat) -> None: ...

    async def part(self, process: str) -> None:
        """``process`` ends: from now on it has no beat."""

    async def survey(self, process: str) -> Survey:
        """Who is there, as ``process`` sees it."""

    async def news(self, after: str, wait_ms: int) -> str:
        """The position of the last news ("0": before any).

        Waits up to ``wait_ms`` for some after ``after``, and then returns that.
        """

    async def announce(self) -> None:
        """Have everybody look at the topology."""

    async def ping(self) -> None: ...


class Leases(Protocol):
    """Redis, as the place where processes agree who holds a slot. A hint: the epoch decides."""

    async def acquire(self, slot: Slot, holder: str) -> bool:
        """True when the slot is ``holder``'s for LEASE_MS from the moment of the call."""

    async def renew(self, slot: Slot, holder: str) -> bool:
        """False when it is no longer ``holder``'s."""

    async def release(self, slot: Slot, holder: str) -> None: ...

    async def claim(self, chunks: Sequence[ChunkId], holder: str) -> bool:
        """True when ``holder`` alone is to create ``chunks`` for CREATION_MS; else none is its."""


class Journal(Protocol):
    """PostgreSQL, for a shard: the truth, and the referee."""

    async def world(self) -> World: ...

    async def topologies(self) -> Topologies: ...

    async def begin_topology(self, epoch: int) -> Topologies:
        """Put in force what is wanted, if that is of ``epoch``. Safe to repeat."""

    async def chunks(self) -> Sequence[ChunkId]:
        """Every chunk that has an agent in it or a journal not yet covered by a snapshot."""

    async def leftovers(self) -> Sequence[ChunkId]:
        """Every chunk that was saved with nobody in it, and not collected since."""

    async def take(
        self, chunks: Sequence[ChunkId], holder: str, topology: int | None = None
    ) -> Sequence[Taken]:
        """Make them ours: create those that do not exist, raise every epoch, in one transaction.

        Returns none, and takes none, when the topology in force is not of epoch ``topology``.
        """

    async def generation(self, chunk: ChunkId) -> tuple[int, Tick]:
        """The generation and last known tick of ``chunk``; (1, 0) if it never existed.

        Creates nothing.
        """

    async def commit(self, rows: Sequence[Row]) -> Committed | Conflict:
        """Write all rows of chunks whose epoch is the newest, in one transaction, or say why not.

        A row that is already there, equal to the last byte, counts as written: safe to repeat
        after InDoubt.
        """

    async def record(self, facts: Sequence[Fact]) -> frozenset[ChunkId]:
        """Write the facts; return the chunks that are no longer ours (their facts were dropped)."""

    async def save(
        self, snapshots: Sequence[Snapshot], empty: frozenset[ChunkId]
    ) -> frozenset[ChunkId]:
        """Store; return the chunks that are no longer ours. ``empty`` have no agent inside.

        Of each, PAST_SNAPSHOTS_MAX older ones stay, with the journal since, for replays only.
        """

    async def collect(self, retired: Sequence[Retired]) -> frozenset[ChunkId]:
        """Forget snapshots and journals; generations rise by one, and begin at the ticks given.

        Return the chunks that were left as they are: no longer ours, or an input was journaled for
        later than their last tick. The others are nobody's then. Safe to repeat.
        """

    async def transfer(self, transfer: TransferId) -> TransferState | None: ...

    async def cancel_transfer(self, transfer: TransferId) -> TransferState:
        """Decide it ``cancelled`` unless somebody decided it before; return what it is now."""

    async def whereabouts(self, agent: AgentId) -> ChunkId | None:
        """The chunk that ``agent`` was last recorded in."""

    async def prune(self) -> int:
        """Forget what nobody can ask for any more; return how many rows. Safe to cut short."""

    async def ping(self) -> None: ...


class Clock(Protocol):
    """The time of day. Durations and ticks come from trio's own clock."""

    def now_ms(self) -> int:
        """Unix time."""
