"""What a shard writes to PostgreSQL, and what it hears back.

Pure. The journal is the truth: an input is in it before anybody is told ``accepted``. Every
write names the epoch of its chunk; the referee drops those whose epoch is no longer the
newest, and says so, and then the writer must drop the chunk at once.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Literal

import attrs

from common.envelopes import AckLine, ResultLine, SessionEnded
from common.grid import AgentId, ChunkId, CommandId, Epoch, SessionId, Tick, TransferId


@attrs.frozen
class Row:
    """One input of one chunk, due at ``tick``; (chunk, tick, ordinal) is unique.

    At most one of ``command``, ``transfer`` and ``driver`` is set. ``command``: the accepted ack
    that goes out once this is durable; (session, id) is unique for as long as the session is
    remembered, and nothing is written later than ``expires_at_ms``. ``transfer``: an arrival,
    written only if nobody has decided that transfer yet, and thereby deciding it ``admitted``.
    ``driver``: a session that takes an agent, written only while it is the agent's live one.
    ``digest``, for replays: of the chunk before this tick; the tick's first row has it.
    """

    chunk: ChunkId
    epoch: Epoch
    tick: Tick
    ordinal: int
    body: bytes
    command: AckLine | None = None
    expires_at_ms: int | None = None
    transfer: TransferId | None = None
    driver: SessionId | None = None
    digest: str | None = None
    checksum: int = attrs.field()
    """Of ``body``, CRC-32, as it was when it was written."""

    @checksum.default
    def _checksum(self) -> int:
        return zlib.crc32(self.body)

    @property
    def is_intact(self) -> bool:
        return self.checksum == zlib.crc32(self.body)


@attrs.frozen
class Committed:
    """Written, but for the rows of ``fenced`` chunks: those are no longer ours."""

    fenced: frozenset[ChunkId] = frozenset()


@attrs.frozen
class Known:
    """What was answered before to a command that came again."""

    ack: AckLine
    result: ResultLine | None


@attrs.frozen
class Conflict:
    """Nothing was written. Take out what is named here, decide again, commit again."""

    known: Mapping[tuple[SessionId, CommandId], Known] = attrs.field(factory=dict)
    decided: Mapping[TransferId, TransferState] = attrs.field(factory=dict)
    expired: frozenset[tuple[SessionId, CommandId]] = frozenset()
    over: Mapping[SessionId, SessionEnded] = attrs.field(factory=dict)
    """Drivers that are over, or were never known: for good."""


TransferState = Literal["admitted", "entered", "refused", "cancelled"]
"""``admitted``: journaled at the target, outcome not yet recorded. The other three are final."""


# Facts to be remembered beside the journal; each may be written twice with the same effect.


@attrs.frozen
class ResultFact:
    chunk: ChunkId
    epoch: Epoch
    result: ResultLine


@attrs.frozen
class PlacedFact:
    """Where an agent is, for those who look for it; exact once it has left the world."""

    chunk: ChunkId
    epoch: Epoch
    agent: AgentId
    x: int
    y: int
    present: bool


@attrs.frozen
class TransferFact:
    chunk: ChunkId
    """The target, who decided."""
    epoch: Epoch
    transfer: TransferId
    entered: bool


Fact = ResultFact | PlacedFact | TransferFact


@attrs.frozen
class Taken:
    """A chunk that is ours now: where to recover it from. ``state`` is None for a new chunk.

    ``rows`` are those after ``tick``, in order of (tick, ordinal).
    """

    chunk: ChunkId
    epoch: Epoch
    generation: int
    tick: Tick
    state: bytes | None
    digest: str | None
    rows: tuple[Row, ...]
    is_final: bool = False
    """The owner of before stopped just there, and put everything in order."""


@attrs.frozen
class Snapshot:
    chunk: ChunkId
    epoch: Epoch
    tick: Tick
    state: bytes
    digest: str
    is_final: bool = False
    """The last of its owner, who ticks no more: what is journaled beyond is yet to be done."""


@attrs.frozen
class Retired:
    """A chunk whose life is over at ``tick``: nobody is in it, and nothing about it under way."""

    chunk: ChunkId
    epoch: Epoch
    tick: Tick


@attrs.frozen
class History:
    """What is kept of a chunk: its snapshots in order, and the journal after the first of them.

    The journal is in order of (tick, ordinal); with no snapshot it goes back to ``tick``, when the
    chunk was made with nobody in it.
    """

    chunk: ChunkId
    generation: int
    tick: Tick
    snapshots: tuple[Snapshot, ...]
    rows: tuple[Row, ...]

    @property
    def first(self) -> Tick:
        """The earliest tick that it reaches back to."""
        return self.snapshots[0].tick if self.snapshots else self.tick

    @property
    def last(self) -> Tick:
        """The last tick that anything is known of."""
        return max([self.first, *(s.tick for s in self.snapshots), *(r.tick for r in self.rows)])


@attrs.frozen
class World:
    id: str
    seed: int
