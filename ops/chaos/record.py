"""What PostgreSQL keeps of commands, and whether that is what an agent was told of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from common.adapters.postgres import Postgres
from common.grid import CommandId, SessionId
from ops.chaos.ledger import Entry


@attrs.frozen
class Row:
    """A row of PostgreSQL's table of commands."""

    seq: int
    tick: int
    result_seq: int | None
    result_tick: int | None
    result_chunk: str | None
    result_x: int | None
    result_y: int | None
    result_reason: str | None


@attrs.define
class Held:
    """How many results there were, and how many of them were held against what was seen."""

    seen: int = 0
    results: int = 0

    def count(self, *, was_seen: bool) -> bool:
        self.results += 1
        self.seen += was_seen
        return was_seen


Rows = Mapping[SessionId, Mapping[CommandId, Row]]

_COMMANDS = (
    "select session, id, seq, tick, result_seq, result_tick, result_chunk, result_x, result_y,"
    " result_reason from command"
)


async def read_rows(postgres: Postgres) -> Rows:
    """Return all there are. Raises Trouble."""
    rows: dict[SessionId, dict[CommandId, Row]] = {}
    for session, id, *values in await postgres.read("reading commands", _COMMANDS):
        rows.setdefault(SessionId(session), {})[CommandId(id)] = Row(*values)
    return rows


def unfinished(rows: Rows) -> Iterator[tuple[SessionId, CommandId, Row]]:
    for session, mine in rows.items():
        for id, row in mine.items():
            if row.result_seq is None:
                yield session, id, row


def is_same(entry: Entry, row: Row) -> bool:
    ack, result = entry.ack, entry.result
    if ack is not None and (ack.seq, ack.tick) != (row.seq, row.tick):
        return False
    if result is None:
        return ack is None  # Neither was heard: the session went on without this connection.
    return (
        (result.seq, result.tick, result.chunk, result.reason)
        == (row.result_seq, row.result_tick, row.result_chunk, row.result_reason)
    ) and (result.position.x, result.position.y) == (row.result_x, row.result_y)
