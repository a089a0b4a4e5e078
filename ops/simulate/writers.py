"""Who may write to a chunk: one process an epoch, and only by the newest epoch. And who drives an
agent: after a newer session no older one.

It watches the journal's answers and knows nothing of how the referee works. The census is told
which generations ended.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from common.grid import AgentId, ChunkId, Epoch, SessionId, Tick
from common.journal import Fact, Retired, Row, Snapshot, Taken
from ops.simulate.census import Census
from ops.simulate.ledger import Ledger
from shard.world.codec import decode_input
from shard.world.inputs import Enter


@attrs.define(eq=False)
class Writers:
    _ledger: Ledger
    _census: Census
    _takers: dict[Epoch, str] = attrs.field(factory=dict, init=False)
    _newest: dict[ChunkId, Epoch] = attrs.field(factory=dict, init=False)
    _ended: dict[Epoch, Retired] = attrs.field(factory=dict, init=False)
    """Those of whom the last that was written is the end of the chunk."""
    _drivers: dict[AgentId, SessionId] = attrs.field(factory=dict, init=False)
    _entered: set[tuple[ChunkId, Tick, int]] = attrs.field(factory=set, init=False)

    def took(self, process: str, taken: Sequence[Taken]) -> None:
        for one in taken:
            self._ledger.event(f"{process} takes {one.chunk} at epoch {one.epoch}")
            if one.epoch in self._takers:
                self._ledger.violate(f"epoch {one.epoch} was given twice")
            if one.epoch <= self._newest.get(one.chunk, 0):
                self._ledger.violate(f"{one.chunk}: epoch {one.epoch} is not the newest")
            self._takers[one.epoch] = process
            self._newest[one.chunk] = one.epoch

    def wrote(
        self, process: str, writes: Sequence[Row | Fact | Snapshot], fenced: frozenset[ChunkId]
    ) -> None:
        """``process`` was told that all of ``writes`` but those of ``fenced`` were written."""
        for write in writes:
            if write.chunk not in fenced:
                self._check(process, write)
                if write.epoch in self._ended:
                    self._ledger.violate(f"{process} wrote to {write.chunk} after its end")
                if isinstance(write, Row):
                    self._check_driver(write)

    def collected(self, process: str, retired: Retired) -> None:
        """``process`` was told that ``retired`` is forgotten; perhaps not for the first time."""
        if self._ended.get(retired.epoch) == retired:
            return
        self._check(process, retired)
        self._ended[retired.epoch] = retired
        self._ledger.event(f"{process} collects {retired.chunk} at tick {retired.tick}")
        self._census.end(retired.chunk, retired.tick)

    def _check_driver(self, row: Row) -> None:
        """Ids of sessions rise (see ``FrontDesk``). A commit that is repeated says nothing new."""
        told = decode_input(row.body)
        if not isinstance(told, Enter) or (row.chunk, row.tick, row.ordinal) in self._entered:
            return
        self._entered.add((row.chunk, row.tick, row.ordinal))
        newest = self._drivers.setdefault(told.agent, told.session)
        if told.session < newest:
            self._ledger.violate(f"{told.agent} is driven by {told.session} after {newest}")
        self._drivers[told.agent] = told.session

    def _check(self, process: str, write: Row | Fact | Snapshot | Retired) -> None:
        if self._takers.get(write.epoch) != process:
            self._ledger.violate(
                f"{process} wrote to {write.chunk} by epoch {write.epoch} of"
                f" {self._takers.get(write.epoch)}"
            )
        if write.epoch != self._newest[write.chunk]:
            self._ledger.violate(
                f"{process} wrote to {write.chunk} by epoch {write.epoch}, after"
                f" {self._newest[write.chunk]} was taken"
            )
