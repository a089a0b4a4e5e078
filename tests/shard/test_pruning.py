from __future__ import annotations

import trio

from common.adapters.memory_journal import MemoryJournal
from common.adapters.memory_postgres import MemoryPostgres
from common.limits import PRUNE_SECONDS
from shard.pruning import prune


class CountingJournal(MemoryJournal):
    def __init__(self, postgres: MemoryPostgres) -> None:
        super().__init__(postgres)
        self.asked = 0

    async def prune(self) -> int:
        self.asked += 1
        return await super().prune()


async def test_it_prunes_once_an_hour_and_a_failure_only_costs_an_hour(
    autojump_clock: trio.testing.MockClock,
) -> None:
    postgres = MemoryPostgres(lambda: 0)
    journal = CountingJournal(postgres)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(prune, journal)
        await trio.sleep(PRUNE_SECONDS * 1.5)
        assert journal.asked == 1
        postgres.down = True
        await trio.sleep(PRUNE_SECONDS)
        postgres.down = False
        await trio.sleep(PRUNE_SECONDS)
        assert journal.asked == 3
        nursery.cancel_scope.cancel()
