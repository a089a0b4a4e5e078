"""Agents, their keys and their sessions, as the gateway remembers them.

Pure. Secrets appear here as hashes only (``common.tokens``), but for a session's
``challenge_secret``, which both sides must know. Times are aware, in UTC.
"""

from __future__ import annotations

import enum
from datetime import datetime

import attrs

from common.grid import AgentId, ChunkId, SessionId


class Scope(enum.StrEnum):
    """What a key or session may do."""

    ACT = "act"
    CHAT = "chat"
    OBSERVE = "observe"


ALL_SCOPES = frozenset(Scope)


@attrs.frozen
class Account:
    """An agent: who it is, and where it was last."""

    agent: AgentId
    name: str
    created_at: datetime
    chunk: ChunkId
    x: int | None
    y: int | None
    present: bool = False
    """Whether it stands in the world; ``x`` and ``y`` are exact when it does not."""


@attrs.frozen
class ApiKey:
    key_id: str
    agent: AgentId
    secret_hash: bytes
    label: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    is_banned: bool = False
    """Whether its agent is."""

    def is_live(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@attrs.frozen
class Session:
    """One sitting of an agent.

    ``resume_hashes``: the confirmed token, then those that are offered and not confirmed, the
    oldest first.
    """

    session: SessionId
    agent: AgentId
    key_id: str
    token_hash: bytes
    challenge_secret: bytes
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime
    resume_hashes: tuple[bytes, ...]
    ended_at: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        return self.ended_at is None and now < self.expires_at


class NameTaken(Exception):
    """An agent of that name, without regard to case, exists."""
