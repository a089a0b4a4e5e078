"""What was published, held against what follows from the journal, made anew tick by tick.

The journal of a generation is read when that ends, or the run does. At any moment all that was
published must follow from what PostgreSQL has: an input is there before anybody hears of it.
"""

from __future__ import annotations

import attrs

from common.adapters.memory_history import history_of
from common.adapters.memory_postgres import MemoryPostgres
from common.grid import ChunkId
from ops.retelling import differences
from ops.simulate.census import Census
from ops.simulate.ledger import Ledger


@attrs.frozen(eq=False)
class Rerun:
    _postgres: MemoryPostgres
    _census: Census
    _ledger: Ledger

    def check(self, chunk: ChunkId) -> None:
        history = history_of(self._postgres, chunk)
        if history is None or chunk not in self._census.originals:
            return
        self._ledger.count("rerun")
        for difference in differences(
            self._census.originals[chunk], history, self._postgres.world.seed
        ):
            self._ledger.violate(difference)
