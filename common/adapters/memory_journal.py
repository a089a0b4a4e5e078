"""The journal in memory; behaves as ``PostgresJournal`` does, the referee included."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import attrs

from common.accounts import Session
from common.adapters.memory_postgres import (
    KeptChunk,
    KeptCommand,
    KeptTransfer,
    MemoryPostgres,
)
from common.grid import AgentId, ChunkId, Epoch, Tick, TransferId
from common.journal import (
    Committed,
    Conflict,
    Fact,
    PlacedFact,
    ResultFact,
    Retired,
    Row,
    Snapshot,
    Taken,
    TransferFact,
    TransferState,
    World,
)
from common.limits import PAST_SNAPSHOTS_MAX
from common.topology import Topologies

_SESSIONS_KEPT = timedelta(days=1)
_TRANSFERS_KEPT_MS = 3_600_000
_SETTLED_MS = 600_000


class MemoryJournal:
    def __init__(self, postgres: MemoryPostgres) -> None:
        self._postgres = postgres

    async def world(self) -> World:
        await self._postgres.reached("reading the world")
        return self._postgres.world

    async def topologies(self) -> Topologies:
        await self._postgres.reached("reading the topology")
        return self._postgres.topologies

    async def begin_topology(self, epoch: int) -> Topologies:
        await self._postgres.reached("changing the topology")
        self._postgres.begin_topology(epoch)
        return self._postgres.topologies

    async def chunks(self) -> Sequence[ChunkId]:
        await self._postgres.reached("listing chunks")
        return sorted(id for id, chunk in self._postgres.chunks.items() if chunk.is_occupied)

    async def leftovers(self) -> Sequence[ChunkId]:
        await self._postgres.reached("listing empty chunks")
        kept = self._postgres.chunks.items()
        return sorted(id for id, chunk in kept if chunk.snapshot is not None and chunk.empty)

    async def take(
        self, chunks: Sequence[ChunkId], holder: str, topology: int | None = None
    ) -> Sequence[Taken]:
        await self._postgres.reached("taking chunks")
        if topology not in (None, self._postgres.topology.epoch):
            return []
        taken = []
        for id in sorted(set(chunks)):
            epoch = self._postgres.next_epoch()
            chunk = self._postgres.chunks.setdefault(id, KeptChunk(epoch))
            kept = chunk.snapshot
            is_final = kept is not None and kept.is_final and kept.epoch == chunk.epoch
            chunk.epoch, chunk.holder = epoch, holder
            taken.append(_taken(id, chunk, is_final))
        return taken

    async def generation(self, chunk: ChunkId) -> tuple[int, Tick]:
        await self._postgres.reached("reading a generation")
        kept = self._postgres.chunks.get(chunk)
        if kept is None:
            return 1, Tick(0)
        return kept.generation, max([kept.tick, *(tick for tick, _ in kept.journal)])

    async def commit(self, rows: Sequence[Row]) -> Committed | Conflict:
        commands = [(row.command.session, row.command.id) for row in rows if row.command]
        assert len(set(commands)) == len(commands), "a command is admitted once"
        await self._postgres.reached("journaling")
        self._postgres.lose_commit()
        outcome = self._commit(rows)
        self._postgres.answer_commit()
        return outcome

    async def record(self, facts: Sequence[Fact]) -> frozenset[ChunkId]:
        await self._postgres.reached("recording")
        fenced = self._fenced((fact.chunk, fact.epoch) for fact in facts)
        for fact in facts:
            if fact.chunk not in fenced:
                self._record(fact)
        return fenced

    async def save(
        self, snapshots: Sequence[Snapshot], empty: frozenset[ChunkId]
    ) -> frozenset[ChunkId]:
        await self._postgres.reached("saving chunks")
        fenced = self._fenced((snapshot.chunk, snapshot.epoch) for snapshot in snapshots)
        for snapshot in snapshots:
            if snapshot.chunk not in fenced:
                self._save(snapshot, snapshot.chunk in empty)
        return fenced

    async def collect(self, retired: Sequence[Retired]) -> frozenset[ChunkId]:
        await self._postgres.reached("collecting chunks")
        fenced = self._fenced((one.chunk, one.epoch) for one in retired)
        for one in retired:
            if one.chunk not in fenced and not self._has_input_after(one):
                self._collect(one)
        return frozenset(one.chunk for one in retired if not self._has_ended(one))

    async def transfer(self, transfer: TransferId) -> TransferState | None:
        await self._postgres.reached("reading a transfer")
        kept = self._postgres.transfers.get(transfer)
        return kept.state if kept else None

    async def cancel_transfer(self, transfer: TransferId) -> TransferState:
        await self._postgres.reached("cancelling a transfer")
        now_ms = self._postgres.now_ms()
        kept = self._postgres.transfers.setdefault(transfer, KeptTransfer("cancelled", now_ms))
        return kept.state

    async def whereabouts(self, agent: AgentId) -> ChunkId | None:
        await self._postgres.reached("looking for an agent")
        account = self._postgres.agents.get(agent)
        return account.chunk if account else None

    async def ping(self) -> None:
        await self._postgres.reached("a ping")

    async def prune(self) -> int:
        await self._postgres.reached("pruning")
        sessions, commands = self._postgres.sessions, self._postgres.commands
        now_ms = self._postgres.now_ms()
        forgotten_at = datetime.fromtimestamp(now_ms / 1000, UTC) - _SESSIONS_KEPT
        old_sessions = {id for id, s in sessions.items() if _end(s) < forgotten_at}
        old_commands = [key for key in commands if key[0] in old_sessions]
        saved = [c.saved_ms for c in self._postgres.chunks.values() if c.is_occupied]
        horizon = min([now_ms - _TRANSFERS_KEPT_MS, *(ms - _SETTLED_MS for ms in saved)])
        transfers = self._postgres.transfers
        old_transfers = [id for id, kept in transfers.items() if kept.decided_ms < horizon]
        for session in old_sessions:
            del sessions[session]
        for command in old_commands:
            del commands[command]
        for transfer in old_transfers:
            del transfers[transfer]
        return len(old_sessions) + len(old_commands) + len(old_transfers)

    def _fenced(self, mine: Iterable[tuple[ChunkId, Epoch]]) -> frozenset[ChunkId]:
        kept = self._postgres.chunks
        return frozenset(
            chunk for chunk, epoch in mine if chunk not in kept or kept[chunk].epoch != epoch
        )

    def _has_input_after(self, retired: Retired) -> bool:
        journal = self._postgres.chunks[retired.chunk].journal
        return any(tick > retired.tick for tick, _ in journal)

    def _has_ended(self, retired: Retired) -> bool:
        """Also by a try before, whose answer was lost."""
        kept = self._postgres.chunks.get(retired.chunk)
        return kept is not None and kept.began == retired.tick

    def _collect(self, retired: Retired) -> None:
        chunk = self._postgres.chunks[retired.chunk]
        # A save or a commit that was long under way must not come after this.
        chunk.epoch = self._postgres.next_epoch()
        chunk.generation += 1
        chunk.began = retired.tick
        chunk.snapshot, chunk.past, chunk.empty, chunk.journal = None, [], True, {}

    def _commit(self, rows: Sequence[Row]) -> Committed | Conflict:
        fenced = self._fenced((row.chunk, row.epoch) for row in rows)
        fresh = [row for row in rows if row.chunk not in fenced and not self._is_written(row)]
        if conflict := self._conflict(fresh):
            return conflict
        for row in fresh:
            journal = self._postgres.chunks[row.chunk].journal
            assert (row.tick, row.ordinal) not in journal, "an ordinal is given once"
            journal[row.tick, row.ordinal] = attrs.evolve(
                row, command=None, expires_at_ms=None, transfer=None, driver=None
            )
            if row.command is not None:
                key = row.command.session, row.command.id
                self._postgres.commands[key] = KeptCommand(row.command)
            if row.transfer is not None:
                admitted = KeptTransfer("admitted", self._postgres.now_ms())
                self._postgres.transfers[row.transfer] = admitted
        return Committed(fenced)

    def _is_written(self, row: Row) -> bool:
        journal = self._postgres.chunks[row.chunk].journal
        kept = journal.get((row.tick, row.ordinal))
        return kept is not None and (kept.epoch, kept.body) == (row.epoch, row.body)

    def _conflict(self, rows: Sequence[Row]) -> Conflict | None:
        commands, transfers = self._postgres.commands, self._postgres.transfers
        now_ms = self._postgres.now_ms()
        asked = {(row.command.session, row.command.id): row for row in rows if row.command}
        known = {key: commands[key].known for key in asked if key in commands}
        expired = frozenset(
            key
            for key, row in asked.items()
            if key not in known and row.expires_at_ms is not None and row.expires_at_ms < now_ms
        )
        decided = {
            row.transfer: transfers[row.transfer].state for row in rows if row.transfer in transfers
        }
        ends = {row.driver: self._postgres.end_of(row.driver) for row in rows if row.driver}
        over = {session: end for session, end in ends.items() if end is not None}
        if known or decided or expired or over:
            return Conflict(known, decided, expired, over)
        return None

    def _record(self, fact: Fact) -> None:
        match fact:
            case ResultFact(result=result):
                kept = self._postgres.commands.get((result.session, result.id))
                if kept is not None and kept.result is None:
                    kept.result = result
            case PlacedFact(chunk=chunk, agent=agent, x=x, y=y, present=present):
                if (account := self._postgres.agents.get(agent)) is not None:
                    self._postgres.agents[agent] = attrs.evolve(
                        account, chunk=chunk, x=x, y=y, present=present
                    )
            case TransferFact(transfer=transfer, entered=entered):
                decided = self._postgres.transfers.get(transfer)
                if decided is not None and decided.state == "admitted":
                    decided.state = "entered" if entered else "refused"

    def _save(self, snapshot: Snapshot, empty: bool) -> None:
        chunk = self._postgres.chunks[snapshot.chunk]
        if chunk.snapshot is not None and chunk.tick < snapshot.tick:
            chunk.past = [*chunk.past, chunk.snapshot][-PAST_SNAPSHOTS_MAX:]
        if chunk.snapshot is None or chunk.tick <= snapshot.tick:
            chunk.snapshot, chunk.empty = snapshot, empty
            chunk.saved_ms = self._postgres.now_ms()
        oldest = chunk.past[0].tick if chunk.past else chunk.tick
        chunk.journal = {key: row for key, row in chunk.journal.items() if key[0] > oldest}


def _taken(id: ChunkId, chunk: KeptChunk, is_final: bool) -> Taken:
    kept = chunk.snapshot
    return Taken(
        chunk=id,
        epoch=chunk.epoch,
        generation=chunk.generation,
        tick=chunk.tick,
        state=kept.state if kept else None,
        digest=kept.digest if kept else None,
        rows=tuple(_for_recovery(row) for row in chunk.after),
        is_final=is_final,
    )


def _for_recovery(row: Row) -> Row:
    return Row(row.chunk, row.epoch, row.tick, row.ordinal, row.body)


def _end(session: Session) -> datetime:
    return min(session.expires_at, session.ended_at or session.expires_at)
