"""The shard processes of ``tessera up``: as many as the topology has slots, and the spares.

It follows the topology, and asks for none. A process that is one too many is drained: told with
SIGTERM to hand over what it has, and killed only when that takes longer than it may.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import structlog
import trio
import trio_asyncio

from common.adapters.postgres import open_postgres
from common.adapters.postgres_accounts import PostgresAccounts
from common.errors import Trouble
from common.limits import EXIT_SECONDS, FLEET_LOOK_SECONDS, POSTGRES_SECONDS_MAX
from common.topology import Topologies
from ops.up.child import Spec
from ops.up.keeper import Birth, Deadline, Keeper, Relay, end

log = structlog.get_logger("tessera.up")


@attrs.define
class Fleet:
    _spec: Callable[[int], Spec]
    _folder: Path
    _relay: Relay
    _birth: Birth
    _spares: int
    _drain_seconds: float
    """After which a shard cuts itself off, and says so; one that does not is killed."""
    _nursery: trio.Nursery
    _keepers: dict[int, Keeper] = attrs.field(factory=dict, init=False)
    """Those that end, too."""

    @property
    def keepers(self) -> Sequence[Keeper]:
        return list(self._keepers.values())

    def match(self, slots: int) -> None:
        """Start what is missing and drain what is too much, for so many slots."""
        wanted = range(slots + self._spares)
        for number in wanted:
            if number not in self._keepers:
                self._start(number)
        for number, keeper in self._keepers.items():
            if number not in wanted and not keeper.is_stopping:
                log.info("one shard too many is drained", name=keeper.spec.name)
                keeper.drain()
                self._nursery.start_soon(self._drain, number, keeper)

    def _start(self, number: int) -> None:
        keeper = Keeper(self._spec(number), self._folder, self._relay, self._birth)
        self._keepers[number] = keeper
        self._nursery.start_soon(keeper.run)

    async def _drain(self, number: int, keeper: Keeper) -> None:
        with trio.move_on_after(self._drain_seconds + EXIT_SECONDS) as patience:
            await keeper.wait_ended()
        if patience.cancelled_caught:
            keeper.kill()
            await keeper.wait_ended()
        del self._keepers[number]

    async def follow(self, database_url: str) -> None:
        """Match the topology of that database, until cancelled."""
        async with trio_asyncio.open_loop(), open_postgres(database_url) as postgres:
            accounts = PostgresAccounts(postgres)
            while True:
                await trio.sleep(FLEET_LOOK_SECONDS)
                with trio.move_on_after(POSTGRES_SECONDS_MAX):
                    try:
                        self.match(slots_of(await accounts.topologies()))
                    except Trouble as trouble:
                        log.warning("cannot read the topology", trouble=str(trouble))


def slots_of(topologies: Topologies) -> int:
    """Return how many there must be processes for: before a change, those of after as well."""
    return max(topologies.in_force.shard_count, topologies.wanted.shard_count)


@asynccontextmanager
async def a_fleet(
    slots: int,
    spares: int,
    spec: Callable[[int], Spec],
    folder: Path,
    relay: Relay,
    birth: Birth,
    deadline: Deadline,
    drain_seconds: float,
) -> AsyncIterator[Fleet]:
    """Keep shard processes running for as long as the block lasts, first for ``slots``."""
    async with trio.open_nursery() as nursery:
        fleet = Fleet(spec, folder, relay, birth, spares, drain_seconds, nursery)
        fleet.match(slots)
        try:
            yield fleet
        finally:
            with trio.CancelScope(shield=True):  # Bounded by the deadline, and then by SIGKILL.
                await end(fleet.keepers, deadline())
            nursery.cancel_scope.cancel()
