"""The frames of the agent WebSocket and of the spectators' streams, as the protocol names them.

Pure. Parser, encoder and the AsyncAPI document are made from these classes. A field whose
value is None is left out on the wire.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import attrs
from msgspec import Meta

from common.events import Event
from common.grid import AgentId, ChunkId, CommandId, SessionId, Tick
from common.refusals import AckCode, FailReason, ResyncReason

# ``(?!\n)``: in Python "$" also matches before a last newline.
Id = Annotated[CommandId, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,64}(?!\n)$")]
Base64 = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}(?!\n)$")]


# Both ways of proving a command, and what they prove it with.


@attrs.frozen
class OfferedChallenge:
    """A challenge for the next command (pipelining): single use, good for 30 s."""

    nonce: str
    expires_at: str


@attrs.frozen
class Proof:
    nonce: Base64
    signature: Base64


# Client to server


@attrs.frozen
class CommandRequest:
    """``command`` stays as the client sent it: the signature covers it."""

    id: Id
    command: dict[str, Any]
    answer: Proof | None = None
    type: Literal["command_req"] = attrs.field(default="command_req", kw_only=True)


@attrs.frozen
class Answer:
    id: Id
    nonce: Base64
    signature: Base64
    type: Literal["answer"] = attrs.field(default="answer", kw_only=True)


@attrs.frozen
class Cancel:
    id: Id
    type: Literal["cancel"] = attrs.field(default="cancel", kw_only=True)


ClientFrame = CommandRequest | Answer | Cancel


# Server to client


@attrs.frozen
class Position:
    x: int
    y: int


@attrs.frozen
class SessionLimits:
    commands_per_s: int
    chat_per_min: int
    challenge_ttl_ms: int


@attrs.frozen
class SessionReady:
    protocol: int
    session_id: SessionId
    agent_id: AgentId
    resume_token: str
    resumed: bool
    tick_hz: int
    chunk: ChunkId
    position: Position
    limits: SessionLimits
    challenge: OfferedChallenge
    type: Literal["session_ready"] = attrs.field(default="session_ready", kw_only=True)


@attrs.frozen
class SpectatorReady:
    """The ``session_ready`` of a spectator's stream."""

    protocol: int
    chunks: list[ChunkId]
    tick_hz: int
    resumed: bool = False
    type: Literal["session_ready"] = attrs.field(default="session_ready", kw_only=True)


@attrs.frozen
class Entity:
    id: AgentId
    kind: str
    x: int
    y: int
    name: str | None = None


@attrs.frozen
class ChunkStatic:
    """The whole of a chunk after ``tick``; ``terrain`` has ``size`` rows, smallest y first."""

    chunk: ChunkId
    generation: int
    tick: Tick
    size: int
    terrain: list[str]
    entities: list[Entity]
    type: Literal["chunk_static"] = attrs.field(default="chunk_static", kw_only=True)


@attrs.frozen
class ChunkDelta:
    """What happened in ``tick``; ``prev_tick`` is the tick of the delta before this one."""

    chunk: ChunkId
    tick: Tick
    prev_tick: Tick
    events: list[Event]
    type: Literal["chunk_delta"] = attrs.field(default="chunk_delta", kw_only=True)


@attrs.frozen
class Resync:
    reason: ResyncReason
    chunk: ChunkId | None = None
    type: Literal["resync"] = attrs.field(default="resync", kw_only=True)


@attrs.frozen
class Challenge:
    id: CommandId
    nonce: str
    expires_at: str
    type: Literal["challenge"] = attrs.field(default="challenge", kw_only=True)


@attrs.frozen
class Ack:
    id: CommandId
    status: Literal["accepted", "rejected"]
    code: AckCode | None = None
    retry_after_ms: int | None = None
    tick: Tick | None = None
    seq: int | None = None
    challenge: OfferedChallenge | None = None
    type: Literal["ack"] = attrs.field(default="ack", kw_only=True)


@attrs.frozen
class Result:
    id: CommandId
    seq: int
    status: Literal["completed", "failed"]
    tick: Tick
    chunk: ChunkId
    position: Position
    reason: FailReason | None = None
    type: Literal["result"] = attrs.field(default="result", kw_only=True)


@attrs.frozen
class Error:
    code: str
    message: str
    id: CommandId | None = None
    type: Literal["error"] = attrs.field(default="error", kw_only=True)


@attrs.frozen
class Goodbye:
    code: int
    reason: str
    resume: bool
    type: Literal["goodbye"] = attrs.field(default="goodbye", kw_only=True)


ServerFrame = SessionReady | ChunkStatic | ChunkDelta | Challenge | Ack | Result | Error | Goodbye
SpectatorFrame = SpectatorReady | ChunkStatic | ChunkDelta | Resync
