"""What a chunk is told before a tick. The journal holds these, and replay feeds them again.

Pure. An input carries all that its effect depends on, so that it means the same in every replay.
"""

from __future__ import annotations

from typing import Literal

import attrs

from common.commands import Command
from common.frames import Position
from common.grid import AgentId, ChunkId, CommandId, SessionId, TransferId
from common.refusals import WithdrawReason
from shard.world.state import Agent


@attrs.frozen
class Enter:
    """``session`` drives ``agent`` from now on; the agent enters if it is not here already.

    ``at`` is where it stood when it left, or None: then a free cell is drawn.
    """

    agent: AgentId
    session: SessionId
    name: str
    at: Position | None = None
    type: Literal["enter"] = attrs.field(default="enter", kw_only=True)


@attrs.frozen
class Leave:
    """``session`` is over; nothing happens if another one drives the agent by now."""

    agent: AgentId
    session: SessionId
    type: Literal["leave"] = attrs.field(default="leave", kw_only=True)


@attrs.frozen
class Order:
    """A command that was accepted with ``seq``."""

    agent: AgentId
    session: SessionId
    id: CommandId
    seq: int
    command: Command
    type: Literal["order"] = attrs.field(default="order", kw_only=True)


@attrs.frozen
class Withdraw:
    """End the command ``id`` for ``reason``, if it is still in flight."""

    agent: AgentId
    session: SessionId
    id: CommandId
    reason: WithdrawReason = "cancelled"
    type: Literal["withdraw"] = attrs.field(default="withdraw", kw_only=True)


@attrs.frozen
class Arrive:
    """``traveller`` wants in from ``source``; its x and y are the cell it wants."""

    transfer: TransferId
    source: ChunkId
    traveller: Agent
    type: Literal["arrive"] = attrs.field(default="arrive", kw_only=True)


@attrs.frozen
class Settle:
    """The outcome of a departure: the agent leaves, or thaws where it stood."""

    transfer: TransferId
    agent: AgentId
    target: ChunkId
    entered: bool
    type: Literal["settle"] = attrs.field(default="settle", kw_only=True)


Input = Enter | Leave | Order | Withdraw | Arrive | Settle


def subject(told: Input) -> AgentId:
    """Return the agent whom ``told`` is about."""
    return told.traveller.id if isinstance(told, Arrive) else told.agent
