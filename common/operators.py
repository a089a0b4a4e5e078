"""Operators: what they may do, what they did, and what agents may no longer do.

Pure. A token's secret appears here as a hash only. Times are aware, in UTC.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime

import attrs

from common.grid import AgentId, ChunkId, Epoch, Tick


class Role(enum.StrEnum):
    """Each has what the one before has."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def has(self, other: Role) -> bool:
        ranks = tuple(Role)
        return ranks.index(self) >= ranks.index(other)


@attrs.frozen
class OperatorToken:
    token_id: str
    secret_hash: bytes = attrs.field(repr=False)
    role: Role
    label: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


ANYBODY = "anybody"
"""The actor of a call without a good token."""

TERMINAL = "terminal"
"""The actor of what was done in the database itself, by who can reach it."""


@attrs.frozen
class Call:
    """One call of an operator's: who asks for what. ``actor`` is a token's id, or a word above."""

    at: datetime
    actor: str
    role: Role | None
    action: str
    target: str
    trace_id: str


@attrs.frozen
class Outcome:
    """``result`` is ``ok``, or the code of the problem."""

    status: int
    result: str


@attrs.frozen
class Audited:
    """A row of the audit log. No outcome: who carried the call out did not live to tell."""

    id: int
    call: Call
    outcome: Outcome | None


@attrs.frozen
class Moderation:
    """What agents may not say, and which may say nothing until when. Changes with ``version``."""

    version: int = 0
    words: tuple[str, ...] = ()
    muted: Mapping[AgentId, datetime] = attrs.field(factory=dict)


@attrs.frozen
class KeptAgent:
    """An agent, as operators see it."""

    agent: AgentId
    name: str
    created_at: datetime
    present: bool
    chunk: ChunkId
    x: int | None
    y: int | None
    muted_until: datetime | None = None
    banned_at: datetime | None = None


@attrs.frozen
class OwnedChunk:
    """A chunk, and the process that took it last."""

    chunk: ChunkId
    generation: int
    epoch: Epoch
    tick: Tick
    """Of its snapshot: the clock is at most SNAPSHOT_TICKS further while somebody is there."""
    holder: str
    taken_at: datetime
