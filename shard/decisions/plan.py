"""The words of deciding: what is known in a round, and what a decision may say.

Pure, though a round grows while it is decided: a later message sees what an earlier one of the
same batch was promised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import attrs

from common.bus import Received
from common.envelopes import (
    AckLine,
    Attach,
    Released,
    SessionEnded,
    SessionLine,
    ToGateway,
    ToShard,
)
from common.grid import AgentId, ChunkId, CommandId, GatewayId, SessionId, Slot, Tick, TransferId
from common.journal import Conflict, Known, Row, TransferState
from shard.live import Live
from shard.routes import Routes
from shard.trails import Trails
from shard.world.codec import digest, encode_input
from shard.world.inputs import Input

CommandKey = tuple[SessionId, CommandId]


@attrs.frozen
class Decision:
    """What becomes of one message, once ``row`` is journaled (at once when there is none)."""

    received: Received
    chunk: ChunkId | None = None
    """The chunk that this is about: it does not tick until this is carried out."""
    input: Input | None = None
    row: Row | None = None
    """With no ``input``: a probe, which is never written; see ``Round.probe``."""
    lines: tuple[SessionLine, ...] = ()
    refusal: AckLine | None = None
    is_told: bool = True
    """Of a refusal; see ``common.bus.Refusal``."""
    replies: tuple[tuple[GatewayId, ToGateway], ...] = ()
    forwards: tuple[tuple[Slot, ToShard], ...] = ()
    attach: Attach | None = None
    """Wants to know how its Enter ends, which is among those that wait."""
    trail: tuple[AgentId, ChunkId] | None = None
    """Where a newcomer was sent on to."""
    is_held: bool = False
    outcome: str = ""
    """Of a command, for the metrics."""
    missing: ChunkId | None = None
    """Question: load this chunk."""
    sought: AgentId | None = None
    """Question: where was this agent seen last?"""
    unshown: ChunkId | None = None
    """Question: of which generation is this chunk, that nobody holds?"""

    is_unsure: bool = False
    """Question: is the chunk really not ours by now?"""
    released: Released | None = None
    """Another owner has parted with a chunk of ours."""

    @property
    def is_question(self) -> bool:
        return bool(self.missing or self.sought or self.unshown or self.is_unsure)


@attrs.define
class Findings:
    """What was learnt on behalf of a batch, from the journal's answers and by asking."""

    known: dict[CommandKey, Known] = attrs.field(factory=dict)
    fresh: set[CommandKey] = attrs.field(factory=set)
    """Commands that the journal does not know: it was asked."""
    expired: set[CommandKey] = attrs.field(factory=set)
    decided: dict[TransferId, TransferState] = attrs.field(factory=dict)
    over: dict[SessionId, SessionEnded] = attrs.field(factory=dict)
    whereabouts: dict[AgentId, ChunkId | None] = attrs.field(factory=dict)
    generations: dict[ChunkId, tuple[int, Tick]] = attrs.field(factory=dict)
    trouble: set[ChunkId | AgentId] = attrs.field(factory=set)
    """What could not be found out now."""
    has_looked: bool = False
    """At the topology, since the batch came."""

    def learn(self, conflict: Conflict, probed: Iterable[CommandKey]) -> None:
        probes = set(probed)
        self.known.update(conflict.known)
        self.decided.update(conflict.decided)
        self.over.update(conflict.over)
        self.fresh |= conflict.expired & probes
        self.expired |= conflict.expired - probes


class Holdings(Protocol):
    """The chunks that are ours."""

    @property
    def pending(self) -> dict[ChunkId, None]: ...

    @property
    def spoilt(self) -> set[ChunkId]: ...

    def get(self, id: ChunkId) -> Live | None: ...


@attrs.define
class Round:
    """One time of deciding a batch."""

    seed: int
    chunks: Holdings
    routes: Routes
    trails: Trails
    findings: Findings
    may_hold: bool
    awaits: Callable[[ChunkId], bool]
    """Whether a chunk of ours may still be another's to run."""
    planned: dict[ChunkId, list[Input]] = attrs.field(factory=dict)
    ordinals: dict[ChunkId, int] = attrs.field(factory=dict)
    seen: set[CommandKey] = attrs.field(factory=set)
    _lives: dict[ChunkId, Live | None] = attrs.field(factory=dict, init=False)

    def live(self, id: ChunkId) -> Live | None:
        """Return the chunk as it was when this round first asked for it.

        Deciding takes time, and what rests catches up whenever it is asked for. All that a round
        plans for a chunk is heard in one tick, so it has to be planned for that one.
        """
        if id not in self._lives:
            self._lives[id] = self.chunks.get(id)
        return self._lives[id]

    def waiting(self, live: Live) -> Sequence[Input]:
        """Return what the chunk's next tick will hear, with what this round has planned."""
        return [*live.waiting, *self.planned.get(live.id, ())]

    def plan(self, live: Live, told: Input) -> Row:
        """Add ``told`` to the chunk's next tick; return the row that makes it durable."""
        ordinal = self._ordinal(live)
        row = Row(
            live.id,
            live.epoch,
            live.next_tick,
            ordinal,
            encode_input(told),
            digest=digest(live.state) if ordinal == 0 else None,
        )
        self.planned.setdefault(live.id, []).append(told)
        return row

    def probe(self, live: Live, ack: AckLine) -> Row:
        """Return a row that can't be written, for it expired in 1970: is the command known?

        The journal looks for known commands first, so the answer is always a Conflict.
        """
        return Row(
            live.id, live.epoch, live.next_tick, self._ordinal(live), b"", ack, expires_at_ms=0
        )

    def _ordinal(self, live: Live) -> int:
        ordinal = self.ordinals.get(live.id, live.ordinal)
        self.ordinals[live.id] = ordinal + 1
        return ordinal
