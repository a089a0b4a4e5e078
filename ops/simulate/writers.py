"""Who may write to a chunk: one process an epoch, and only by the newest epoch.

It watches the journal's answers and knows nothing of how the referee works.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from common.grid import ChunkId, Epoch
from common.journal import Fact, Row, Snapshot, Taken
from ops.simulate.ledger import Ledger


@attrs.define(eq=False)
class Writers:
    _ledger: Ledger
    _takers: dict[Epoch, str] = attrs.field(factory=dict, init=False)
    _newest: dict[ChunkId, Epoch] = attrs.field(factory=dict, init=False)

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
            if write.chunk in fenced:
                continue
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
