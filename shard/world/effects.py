"""What a tick has to say to the outside, beside the events that listeners get.

Pure. Effects are derived: replaying a tick gives the same ones, and whoever receives them
recognises a repetition (by seq, by transfer id, by tick).
"""

from __future__ import annotations

import attrs

from common.frames import Position
from common.grid import AgentId, ChunkId, CommandId, SessionId, TransferId
from common.refusals import FailReason
from shard.world.state import Agent


@attrs.frozen
class Finished:
    """A command ended: with ``reason`` when it failed."""

    session: SessionId
    id: CommandId
    seq: int
    position: Position
    reason: FailReason | None = None


@attrs.frozen
class Placed:
    """``agent`` stands here, driven by ``session``: it entered, arrived, or changed sessions."""

    agent: AgentId
    session: SessionId
    position: Position
    seq: int
    in_flight: CommandId | None


@attrs.frozen
class Unplaced:
    """There was no room for ``agent`` to enter."""

    agent: AgentId
    session: SessionId


@attrs.frozen
class Gone:
    """``agent`` left the world, from ``position``."""

    agent: AgentId
    session: SessionId
    position: Position


@attrs.frozen
class Departing:
    """``traveller`` asks to enter ``target`` at its own x and y; frozen here until settled."""

    transfer: TransferId
    target: ChunkId
    traveller: Agent


@attrs.frozen
class Arrived:
    """The outcome of an arrival, for the record and for ``source``."""

    transfer: TransferId
    source: ChunkId
    agent: AgentId
    entered: bool


Effect = Finished | Placed | Unplaced | Gone | Departing | Arrived
