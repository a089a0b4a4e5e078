"""What both adapters read from PostgreSQL: the world, the topology, and what was answered.

Only reading; nobody but the two adapters beside it needs this.
"""

from __future__ import annotations

import asyncpg

from common.adapters.postgres import Postgres
from common.envelopes import AckLine, ResultLine
from common.frames import Position
from common.grid import ChunkId, CommandId, SessionId, Tick
from common.journal import Known, World
from common.topology import Topologies, Topology

ANSWER_COLUMNS = (
    "session, id, seq, tick,"
    " result_seq, result_tick, result_chunk, result_x, result_y, result_reason"
)


async def read_world(postgres: Postgres) -> World:
    (row,) = await postgres.read("reading the world", "select id, seed from world")
    return World(row["id"], row["seed"])


async def read_topologies(postgres: Postgres) -> Topologies:
    (row,) = await postgres.read(
        "reading the topology",
        "select epoch, shard_count, wanted_epoch, wanted_count from topology",
    )
    in_force = Topology(row["epoch"], row["shard_count"])
    if row["wanted_epoch"] is None:
        return Topologies(in_force, in_force)
    return Topologies(in_force, Topology(row["wanted_epoch"], row["wanted_count"]))


def read_known(row: asyncpg.Record) -> Known:
    return Known(read_ack(row), read_result(row))


def read_ack(row: asyncpg.Record) -> AckLine:
    return AckLine(
        SessionId(row["session"]), CommandId(row["id"]), seq=row["seq"], tick=Tick(row["tick"])
    )


def read_result(row: asyncpg.Record) -> ResultLine | None:
    if row["result_seq"] is None:
        return None
    return ResultLine(
        SessionId(row["session"]),
        CommandId(row["id"]),
        seq=row["result_seq"],
        tick=Tick(row["result_tick"]),
        chunk=ChunkId(row["result_chunk"]),
        position=Position(row["result_x"], row["result_y"]),
        reason=row["result_reason"],
    )
