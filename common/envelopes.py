"""The messages between gateways and shards: their whole contract.

Pure. Delivery is at least once and in order per stream, so every message may arrive twice and
each says below what makes that harmless. ``trace`` is a command's W3C traceparent, or "" where
nobody knows it any more; see ``common.traces``.
"""

from __future__ import annotations

from typing import Literal

import attrs

from common.commands import Command
from common.frames import Position
from common.grid import AgentId, ChunkId, CommandId, GatewayId, SessionId, Tick, TransferId
from common.refusals import AckCode, FailReason, WithdrawReason

# To the shard that holds a chunk's slot, through ``commands:{slot}``. ``chunk`` is where the
# sender believes the agent to be; a shard that knows better forwards it, ``hops`` times at most.


@attrs.frozen
class CommandOffered:
    """A proven command. Repeated: admitted once (unique key), answered as before.

    An offer is (session, id, expires_at_ms): sent again, it is the same one.
    """

    session: SessionId
    agent: AgentId
    id: CommandId
    command: Command
    chunk: ChunkId
    gateway: GatewayId
    expires_at_ms: int
    """Unix time, ms: not to be journaled later than this."""
    hops: int = 0
    trace: str = ""
    type: Literal["command_offered"] = attrs.field(default="command_offered", kw_only=True)


@attrs.frozen
class CancelOffered:
    """Cancel the command ``id`` if it is in flight. Repeated: it no longer is.

    ``reason`` is what its result says: the client asked for it, or ``session`` is over.
    """

    session: SessionId
    agent: AgentId
    id: CommandId
    chunk: ChunkId
    hops: int = 0
    reason: WithdrawReason = "cancelled"
    type: Literal["cancel_offered"] = attrs.field(default="cancel_offered", kw_only=True)


@attrs.frozen
class Attach:
    """Let ``agent`` be driven by ``session``; it enters the world if it is not there yet.

    Answered with Attached once it stands somewhere. Repeated: answered again, nothing changes.
    ``at`` is where it stood when it left, or None for a first visit.
    """

    session: SessionId
    agent: AgentId
    name: str
    chunk: ChunkId
    gateway: GatewayId
    at: Position | None = None
    hops: int = 0
    type: Literal["attach"] = attrs.field(default="attach", kw_only=True)


@attrs.frozen
class Detach:
    """``session`` is over: the agent leaves, unless another session drives it by now."""

    session: SessionId
    agent: AgentId
    chunk: ChunkId
    hops: int = 0
    type: Literal["detach"] = attrs.field(default="detach", kw_only=True)


@attrs.frozen
class ShowAsked:
    """Send ``gateway`` the static of ``chunk``. Creates nothing."""

    chunk: ChunkId
    gateway: GatewayId
    type: Literal["show_asked"] = attrs.field(default="show_asked", kw_only=True)


@attrs.frozen
class ArrivalAsked:
    """A traveller at the border wants in. Repeated: the transfer's outcome is answered again."""

    transfer: TransferId
    source: ChunkId
    chunk: ChunkId
    """The target."""
    traveller: str
    """JSON of the world's own making; only shards look inside."""
    trace: str = ""
    """Of the command that leads it here."""
    type: Literal["arrival_asked"] = attrs.field(default="arrival_asked", kw_only=True)


@attrs.frozen
class CrossingAnswered:
    """The target's word to the source: it ``entered`` or not. Repeated: settled already."""

    transfer: TransferId
    agent: AgentId
    chunk: ChunkId
    """The source, to whom this goes."""
    target: ChunkId
    entered: bool
    type: Literal["crossing_answered"] = attrs.field(default="crossing_answered", kw_only=True)


@attrs.frozen
class LoadAsked:
    """Somebody waits for what ``chunk`` will say of its journal. Repeated: loaded already."""

    chunk: ChunkId
    type: Literal["load_asked"] = attrs.field(default="load_asked", kw_only=True)


@attrs.frozen
class Released:
    """``chunk`` is no longer the sender's, and all it knew of it is saved. Repeated: taken already.

    It may be lost, so that nothing rests on it but how long the chunk stands still.
    """

    chunk: ChunkId
    due_ms: int | None = None
    """When its last tick there was due, Unix ms; None when it rested."""
    type: Literal["released"] = attrs.field(default="released", kw_only=True)


ToChunk = (
    CommandOffered
    | CancelOffered
    | Attach
    | Detach
    | ShowAsked
    | ArrivalAsked
    | CrossingAnswered
    | LoadAsked
)
"""What a chunk decides."""

ToShard = ToChunk | Released


# To a gateway, published on ``gateway:{id}``.


@attrs.frozen
class AckLine:
    """The shard's decision on a command. ``seq`` and ``tick`` when accepted, ``code`` when not."""

    session: SessionId
    id: CommandId
    seq: int | None = None
    tick: Tick | None = None
    code: AckCode | None = None
    retry_after_ms: int | None = None
    expires_at_ms: int | None = None
    """Of a refusal: which offer of ``id`` it is about. A refused id may be offered anew."""
    trace: str = ""
    type: Literal["ack_line"] = attrs.field(default="ack_line", kw_only=True)


@attrs.frozen
class ResultLine:
    """How an accepted command ended; ``reason`` when it failed."""

    session: SessionId
    id: CommandId
    seq: int
    tick: Tick
    chunk: ChunkId
    position: Position
    reason: FailReason | None = None
    trace: str = ""
    type: Literal["result_line"] = attrs.field(default="result_line", kw_only=True)


SessionLine = AckLine | ResultLine
"""Those with a ``seq`` are kept in the session's stream, in order of it, each once."""


@attrs.frozen
class Attached:
    """``agent`` stands at ``position``, driven by ``session``; ``seq`` is its last one so far."""

    session: SessionId
    agent: AgentId
    chunk: ChunkId
    position: Position
    seq: int
    in_flight: CommandId | None = None
    type: Literal["attached"] = attrs.field(default="attached", kw_only=True)


@attrs.frozen
class AttachRefused:
    """There is no room, or no shard could take it now."""

    session: SessionId
    agent: AgentId
    type: Literal["attach_refused"] = attrs.field(default="attach_refused", kw_only=True)


@attrs.frozen
class Shown:
    """The answer to ShowAsked: the encoded ``chunk_static``, of the tick of the last delta."""

    chunk: ChunkId
    static: str
    type: Literal["shown"] = attrs.field(default="shown", kw_only=True)


@attrs.frozen
class Replaced:
    """Connection ``connection`` of ``session`` is no longer the one: another took it over."""

    session: SessionId
    connection: int
    type: Literal["replaced"] = attrs.field(default="replaced", kw_only=True)


@attrs.frozen
class SessionEnded:
    """``session`` is over: ``replaced`` by a newer session of the agent, else ended or revoked.

    Said by whoever ended it, and by a shard that is asked to let it drive an agent all the same.
    """

    session: SessionId
    replaced: bool = False
    type: Literal["session_ended"] = attrs.field(default="session_ended", kw_only=True)


ToGateway = AckLine | ResultLine | Attached | AttachRefused | Shown | Replaced | SessionEnded
