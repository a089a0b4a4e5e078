"""A chunk and the agents in it, as values.

Pure. ``Chunk`` is all that the next tick depends on, apart from its inputs. The terrain is
not in it: it follows from (seed, id, generation), and ``shard.world.terrain`` remembers it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from common.grid import AgentId, ChunkId, CommandId, SessionId, Tick, TransferId


@attrs.frozen
class Walking:
    """On the way to (x, y). ``path`` is the way through this chunk, in steps of "NESW".

    ``path[i]`` is due at tick ``start + i``, so a step changes nothing here; being blocked does.
    An empty path: none was looked for yet.
    """

    id: CommandId
    x: int
    y: int
    path: str = ""
    start: Tick = Tick(0)
    blocked: int = 0
    """Ticks in a row in which the next step was not free."""
    replans: int = 0
    """Ways round found in this chunk: bounded, or two could dance around each other for ever."""
    refusals: int = 0
    """How often this chunk's neighbours had no room for it."""
    type: Literal["walking"] = attrs.field(default="walking", kw_only=True)


@attrs.frozen
class Waiting:
    id: CommandId
    ticks: int
    """Ticks left."""
    type: Literal["waiting"] = attrs.field(default="waiting", kw_only=True)


Doing = Walking | Waiting


@attrs.frozen
class Agent:
    """``seq`` is the last number given to an accepted ack or a result of ``session``."""

    id: AgentId
    name: str
    session: SessionId
    seq: int
    x: int
    y: int
    doing: Doing | None = None
    transfer: TransferId | None = None
    """Set while it asks at a border: it stands frozen, and nobody orders it about."""
    asks_from: Tick = Tick(0)
    """It was refused at a border: before this tick it asks at none, whatever it is told to do."""


@attrs.frozen
class Chunk:
    """``changed`` is the tick of the last delta: the state shown has not changed since."""

    id: ChunkId
    generation: int
    seed: int
    tick: Tick
    changed: Tick
    agents: Mapping[AgentId, Agent]
