"""The journal in PostgreSQL: the truth, and the referee.

``commit``, ``record``, ``save``, ``take`` and ``collect`` are one round trip each, to a function of
``ops/migrations`` (the last of its name), where the promises of the port are kept. Rows travel as
one array a column.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import asyncpg

from common.adapters.postgres import Postgres
from common.adapters.postgres_rows import ANSWER_COLUMNS, read_known, read_topologies, read_world
from common.envelopes import AckLine, SessionEnded
from common.errors import Unavailable
from common.grid import AgentId, ChunkId, CommandId, Epoch, SessionId, Tick, TransferId
from common.journal import (
    Committed,
    Conflict,
    Fact,
    Known,
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
from common.limits import PAST_SNAPSHOTS_MAX, PRUNE_ROWS_MAX, RETRIES_MAX
from common.topology import Topologies

_OWN_ROW = "journal_pkey"
_RACES = ("command_pkey", "transfer_pkey", _OWN_ROW)
"""Somebody else inserted the same at the same moment; now that they have, it is a Conflict.

Of a journal row it was ourselves, in a try whose answer was lost: now it counts as written.
"""


class PostgresJournal:
    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def world(self) -> World:
        return await read_world(self._postgres)

    async def topologies(self) -> Topologies:
        return await read_topologies(self._postgres)

    async def begin_topology(self, epoch: int) -> Topologies:
        await self._postgres.write("changing the topology", "select begin_topology($1)", epoch)
        return await self.topologies()

    async def chunks(self) -> Sequence[ChunkId]:
        rows = await self._postgres.read("listing chunks", "select id from occupied order by id")
        return [ChunkId(row["id"]) for row in rows]

    async def leftovers(self) -> Sequence[ChunkId]:
        rows = await self._postgres.read(
            "listing empty chunks", "select chunk from snapshot where empty order by chunk"
        )
        return [ChunkId(row["chunk"]) for row in rows]

    async def take(
        self, chunks: Sequence[ChunkId], holder: str, topology: int | None = None
    ) -> Sequence[Taken]:
        rows = await self._postgres.write(
            "taking chunks", "select * from take_chunks($1, $2, $3)", chunks, holder, topology
        )
        heads = [row for row in rows if row["row_tick"] is None]
        journals: dict[str, list[Row]] = {row["chunk"]: [] for row in heads}
        for row in rows:
            if row["row_tick"] is not None:
                journals[row["chunk"]].append(_journal_row(row))
        return [_taken(row, journals[row["chunk"]]) for row in heads]

    async def generation(self, chunk: ChunkId) -> tuple[int, Tick]:
        rows = await self._postgres.read(
            "reading a generation",
            """
            select c.generation, greatest(c.tick, s.tick, (
                select max(j.tick) from journal j where j.chunk = c.id
            )) as tick
            from chunk c left join snapshot s on s.chunk = c.id where c.id = $1
            """,
            chunk,
        )
        return (rows[0]["generation"], Tick(rows[0]["tick"])) if rows else (1, Tick(0))

    async def commit(self, rows: Sequence[Row]) -> Committed | Conflict:
        commands = [(row.command.session, row.command.id) for row in rows if row.command]
        assert len(set(commands)) == len(commands), "a command is admitted once"
        columns = _columns((_row_columns(row) for row in rows), 14)
        for attempt in range(1, RETRIES_MAX + 1):
            try:
                answers = await self._postgres.write(
                    "journaling",
                    "select * from journal_commit("
                    "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
                    *columns,
                )
            except asyncpg.UniqueViolationError as error:
                is_bug = error.constraint_name == _OWN_ROW and attempt == RETRIES_MAX
                if is_bug or error.constraint_name not in _RACES:
                    raise
            else:
                return await self._outcome(answers)
        raise Unavailable(f"journaling: others journaled the same {RETRIES_MAX} times")

    async def record(self, facts: Sequence[Fact]) -> frozenset[ChunkId]:
        results = [fact for fact in facts if isinstance(fact, ResultFact)]
        places = [fact for fact in facts if isinstance(fact, PlacedFact)]
        transfers = [fact for fact in facts if isinstance(fact, TransferFact)]
        answers = await self._postgres.write(
            "recording",
            "select journal_record($1, $2, $3, $4, $5, $6, $7, $8, $9,"
            " $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
            *_columns((_result_columns(fact) for fact in results), 9),
            *_columns(((p.chunk, p.epoch, p.agent, p.x, p.y, p.present) for p in places), 6),
            *_columns(((t.chunk, t.epoch, t.transfer, t.entered) for t in transfers), 4),
        )
        return frozenset(answers[0][0])

    async def save(
        self, snapshots: Sequence[Snapshot], empty: frozenset[ChunkId]
    ) -> frozenset[ChunkId]:
        answers = await self._postgres.write(
            "saving chunks",
            "select save_snapshots($1, $2, $3, $4, $5, $6, $7, $8)",
            *_columns(
                (
                    (s.chunk, s.epoch, s.tick, s.state, s.digest, s.chunk in empty)
                    for s in snapshots
                ),
                6,
            ),
            PAST_SNAPSHOTS_MAX,
            [snapshot.is_final for snapshot in snapshots],
        )
        return frozenset(answers[0][0])

    async def collect(self, retired: Sequence[Retired]) -> frozenset[ChunkId]:
        answers = await self._postgres.write(
            "collecting chunks",
            "select collect_chunks($1, $2, $3)",
            *_columns(((one.chunk, one.epoch, one.tick) for one in retired), 3),
        )
        return frozenset(answers[0][0])

    async def transfer(self, transfer: TransferId) -> TransferState | None:
        rows = await self._postgres.read(
            "reading a transfer", "select state from transfer where id = $1", transfer
        )
        return rows[0]["state"] if rows else None

    async def cancel_transfer(self, transfer: TransferId) -> TransferState:
        rows = await self._postgres.write(
            "cancelling a transfer", "select cancel_transfer($1) as state", transfer
        )
        state: TransferState = rows[0]["state"]
        return state

    async def whereabouts(self, agent: AgentId) -> ChunkId | None:
        rows = await self._postgres.read(
            "looking for an agent", "select chunk from agent where id = $1", agent
        )
        return ChunkId(rows[0]["chunk"]) if rows else None

    async def ping(self) -> None:
        await self._postgres.read("a ping", "select 1")

    async def prune(self) -> int:
        """Forget what nobody can ask for any more; return how many rows. Meant for once an hour.

        In portions, each short beside the deadline of a call; cancelled, it leaves the rest.
        """
        total = 0
        while True:
            (row,) = await self._postgres.write("pruning", "select prune($1)", PRUNE_ROWS_MAX)
            if not row[0]:
                return total
            total += row[0]

    async def _outcome(self, answers: Sequence[asyncpg.Record]) -> Committed | Conflict:
        if all(answer["kind"] == "fenced" for answer in answers):
            return Committed(frozenset(ChunkId(answer["subject"]) for answer in answers))
        return Conflict(
            known=await self._known([a for a in answers if a["kind"] == "known"]),
            decided={
                TransferId(answer["subject"]): answer["state"]
                for answer in answers
                if answer["kind"] == "decided"
            },
            expired=frozenset(
                (SessionId(answer["subject"]), CommandId(answer["command"]))
                for answer in answers
                if answer["kind"] == "expired"
            ),
            over={
                SessionId(answer["subject"]): SessionEnded(
                    SessionId(answer["subject"]), replaced=answer["state"] == "replaced"
                )
                for answer in answers
                if answer["kind"] == "over"
            },
        )

    async def _known(
        self, answers: Sequence[asyncpg.Record]
    ) -> dict[tuple[SessionId, CommandId], Known]:
        """A second round trip, on the rare way. A command's row never goes within its session."""
        if not answers:
            return {}
        rows = await self._postgres.read(
            "looking up commands",
            f"select {ANSWER_COLUMNS} from command"  # noqa: S608 - our own column names.
            " where (session, id) in (select * from unnest($1::text[], $2::text[]))",
            [answer["subject"] for answer in answers],
            [answer["command"] for answer in answers],
        )
        return {(SessionId(row["session"]), CommandId(row["id"])): read_known(row) for row in rows}


def _columns(rows: Iterable[tuple[object, ...]], width: int) -> list[Sequence[object]]:
    """Turn rows into columns, ``width`` empty ones when there are no rows."""
    return list(zip(*rows, strict=True)) or [()] * width


def _row_columns(row: Row) -> tuple[object, ...]:
    ack = row.command or _NO_COMMAND
    return (
        row.chunk,
        row.epoch,
        row.tick,
        row.ordinal,
        row.body,
        ack.session or None,
        ack.id or None,
        ack.seq,
        ack.tick,
        row.expires_at_ms,
        row.transfer,
        row.digest,
        row.checksum,
        row.driver,
    )


_NO_COMMAND = AckLine(SessionId(""), CommandId(""))


def _result_columns(fact: ResultFact) -> tuple[object, ...]:
    result = fact.result
    return (
        fact.chunk,
        fact.epoch,
        result.session,
        result.id,
        result.seq,
        result.tick,
        result.position.x,
        result.position.y,
        result.reason,
    )


def _journal_row(row: asyncpg.Record) -> Row:
    """Without command and transfer: they were for the writing; a replay reads the body."""
    return Row(
        ChunkId(row["chunk"]),
        Epoch(row["row_epoch"]),
        Tick(row["row_tick"]),
        row["row_ordinal"],
        row["row_body"],
    )


def _taken(row: asyncpg.Record, journal: Sequence[Row]) -> Taken:
    return Taken(
        chunk=ChunkId(row["chunk"]),
        epoch=Epoch(row["epoch"]),
        generation=row["generation"],
        tick=Tick(row["tick"]),
        state=row["state"],
        digest=row["digest"],
        rows=tuple(journal),
        is_final=row["final"],
    )
