"""What PostgreSQL would hold, in memory, for tests and for a whole cluster in one process.

Shared by any number of MemoryAccounts and MemoryJournals, as a server is. Deterministic: what
happens follows from the calls and from the time it is given. ``down`` and ``commit_doubt`` are for
tests to set.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import attrs
import trio

from common.accounts import Account, ApiKey, Session
from common.envelopes import AckLine, ResultLine, SessionEnded
from common.errors import InDoubt, Unavailable
from common.grid import AgentId, ChunkId, CommandId, Epoch, SessionId, Tick, TransferId
from common.journal import Known, Row, Snapshot, TransferState, World
from common.operators import Audited, Moderation, OperatorToken
from common.topology import Topologies, Topology


@attrs.define
class KeptChunk:
    epoch: Epoch
    generation: int = 1
    began: Tick = Tick(0)
    """Where this generation's time began."""
    holder: str = ""
    snapshot: Snapshot | None = None
    past: list[Snapshot] = attrs.field(factory=list)
    """The snapshots before it, in order."""
    empty: bool = True
    saved_ms: float = float("-inf")
    journal: dict[tuple[Tick, int], Row] = attrs.field(factory=dict)

    @property
    def tick(self) -> Tick:
        """Of the snapshot, if there is one."""
        return self.snapshot.tick if self.snapshot else self.began

    @property
    def after(self) -> tuple[Row, ...]:
        """The journal after the snapshot, in order."""
        return tuple(row for key, row in sorted(self.journal.items()) if key[0] > self.tick)

    @property
    def is_occupied(self) -> bool:
        return not self.empty or bool(self.after)


@attrs.define
class KeptCommand:
    ack: AckLine
    result: ResultLine | None = None

    @property
    def known(self) -> Known:
        return Known(self.ack, self.result)


@attrs.define
class KeptTransfer:
    state: TransferState
    decided_ms: int


@attrs.define
class MemoryPostgres:
    now_ms: Callable[[], int]
    world: World = attrs.field(factory=lambda: World("wld_memory", seed=1))
    topology: Topology = attrs.field(factory=lambda: Topology(epoch=1, shard_count=1))
    """In force."""
    wanted: Topology | None = None
    """None while nothing else is wanted."""
    down: bool = False
    """Every call is Unavailable."""
    commit_doubt: Literal["written", "lost"] | None = None
    """The next commit is InDoubt: it was carried out, or it was not."""

    agents: dict[AgentId, Account] = attrs.field(factory=dict)
    keys: dict[str, ApiKey] = attrs.field(factory=dict)
    sessions: dict[SessionId, Session] = attrs.field(factory=dict)
    chunks: dict[ChunkId, KeptChunk] = attrs.field(factory=dict)
    commands: dict[tuple[SessionId, CommandId], KeptCommand] = attrs.field(factory=dict)
    transfers: dict[TransferId, KeptTransfer] = attrs.field(factory=dict)
    operator_tokens: dict[str, OperatorToken] = attrs.field(factory=dict)
    audit: list[Audited] = attrs.field(factory=list)
    banned: dict[AgentId, datetime] = attrs.field(factory=dict)
    moderation: Moderation = attrs.field(factory=Moderation)
    _last_epoch: int = 0
    _last_topology: int = 0

    @property
    def topologies(self) -> Topologies:
        return Topologies(self.topology, self.wanted or self.topology)

    def ask_reshard(self, shard_count: int) -> Topology:
        if shard_count == self.topology.shard_count:
            self.wanted = None
        elif self.wanted is None or self.wanted.shard_count != shard_count:
            self._last_topology = max(self._last_topology, self.topology.epoch) + 1
            self.wanted = Topology(self._last_topology, shard_count)
        return self.topologies.wanted

    def begin_topology(self, epoch: int) -> None:
        if self.wanted is not None and self.wanted.epoch == epoch:
            self.topology, self.wanted = self.wanted, None

    async def reached(self, doing: str) -> None:
        """The round trip; what follows it happens at once, as in a transaction."""
        await trio.lowlevel.checkpoint()
        if self.down:
            raise Unavailable(f"{doing}: PostgreSQL is down")

    def end_of(self, session: SessionId) -> SessionEnded | None:
        """Return how ``session`` is over; None while it is its agent's live one."""
        kept = self.sessions.get(session)
        if kept is not None and kept.is_live(datetime.fromtimestamp(self.now_ms() / 1000, UTC)):
            return None
        others = [one for one in self.sessions.values() if kept and one.agent == kept.agent]
        return SessionEnded(
            session, replaced=any(one.ended_at is None for one in others if one is not kept)
        )

    def next_epoch(self) -> Epoch:
        self._last_epoch += 1
        return Epoch(self._last_epoch)

    def lose_commit(self) -> None:
        """Raise InDoubt if the next commit is to be lost."""
        if self.commit_doubt == "lost":
            self._doubt()

    def answer_commit(self) -> None:
        """Raise InDoubt if the answer to this commit is to be lost."""
        if self.commit_doubt == "written":
            self._doubt()

    def _doubt(self) -> None:
        self.commit_doubt = None
        raise InDoubt("journaling: no answer from PostgreSQL")
