"""What happened in a chunk in one tick: the facts that a ``chunk_delta`` lists, in order.

Pure. Applying every event of every delta to a ``chunk_static`` gives the next one.
Coordinates are the world's.
"""

from __future__ import annotations

from typing import Literal

import attrs

from common.grid import AgentId, ChunkId
from common.refusals import FailReason, LeftReason


@attrs.frozen
class Entered:
    id: AgentId
    kind: str
    x: int
    y: int
    name: str | None = None
    from_: ChunkId | None = None
    """The chunk it came from; ``from`` on the wire."""
    type: Literal["entered"] = attrs.field(default="entered", kw_only=True)


@attrs.frozen
class Moved:
    id: AgentId
    x: int
    y: int
    type: Literal["moved"] = attrs.field(default="moved", kw_only=True)


@attrs.frozen
class Left:
    id: AgentId
    reason: LeftReason
    to: ChunkId | None = None
    type: Literal["left"] = attrs.field(default="left", kw_only=True)


@attrs.frozen
class Said:
    id: AgentId
    text: str
    type: Literal["said"] = attrs.field(default="said", kw_only=True)


@attrs.frozen
class Failed:
    id: AgentId
    reason: FailReason
    type: Literal["failed"] = attrs.field(default="failed", kw_only=True)


Event = Entered | Moved | Left | Said | Failed
