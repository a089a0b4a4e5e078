"""Change the number of shards under load, or replace every process in turn, and measure it.

Asked for where an operator's call asks; what it took is seen from outside (``tempo``) and told by
the shards themselves (their beats). Pauses are judged by ``change``; whether anything was lost or
doubled is the referee's to say, and whether anything was measured ``coverage``'s.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import attrs
import structlog
import trio
import trio_asyncio

from common.adapters.postgres import open_postgres
from common.adapters.postgres_accounts import PostgresAccounts
from common.adapters.redis import open_redis
from common.adapters.redis_gateway_bus import RedisGatewayBus
from common.bus import Delta
from common.grid import ChunkId, GatewayId
from common.topology import Pauses, Topology
from ops.chaos.change import Change, Chunks, Holders
from ops.chaos.cluster import Cluster
from ops.chaos.findings import Findings
from ops.chaos.tempo import AROUND_SECONDS, Tempo
from ops.up.run_folder import Running

IN_FORCE_SECONDS_MAX = 30.0
REPLACED_SECONDS_MAX = 40.0
BEAT_SECONDS = 1.2  # Until every slot has said how it went.
LOOK_SECONDS = 0.05
HOLDERS_SECONDS = 0.1  # No slot goes to another process and back within this.

log = structlog.get_logger("tessera.chaos")


@attrs.define
class Reshaper:
    cluster: Cluster
    chunks: Sequence[ChunkId]
    """Those that are watched."""
    findings: Findings
    now: Callable[[], float]
    changes: list[Change] = attrs.field(factory=list)
    _tempo: Tempo = attrs.field(factory=Tempo)
    _holders: Holders = attrs.field(factory=Holders)

    async def reshard(self, counts: Sequence[int]) -> None:
        """Change the number of shards to each of ``counts``, one after the other."""
        async with self._reaching() as (bus, accounts):
            before = (await accounts.topologies()).in_force
            await trio.sleep(AROUND_SECONDS)
            for count in counts:
                since = self.now()
                wanted = await accounts.ask_reshard(count)
                await bus.announce()
                await self._wait_done(bus, accounts, wanted)
                until = self.now()
                await trio.sleep(AROUND_SECONDS)
                survey = await bus.survey()
                told = [
                    state.beat.moved
                    for state in survey.slots.values()
                    if state.beat and state.beat.moved and state.beat.moved.epoch == wanted.epoch
                ]
                what = f"{before.shard_count} to {count} shards"
                self._note(what, since, until, before, wanted, told)
                before = wanted

    async def roll(self) -> None:
        """Replace every shard and every gateway by a new process, one after the other."""
        async with self._reaching() as (bus, accounts):
            topology = (await accounts.topologies()).in_force
            processes = [*self.cluster.shards(), *self.cluster.gateways()]
            await trio.sleep(AROUND_SECONDS)
            for old in processes:
                since = self.now()
                self.cluster.tell_to_end(old)

                async def is_done(old: Running = old) -> bool:
                    held = (await bus.survey()).holders.keys()
                    return self._is_replaced(old) and topology.slots <= held

                await _until(is_done, REPLACED_SECONDS_MAX)
                until = self.now()
                await trio.sleep(AROUND_SECONDS)
                self._note(f"{old.role}-{old.n} replaced", since, until, topology, topology)

    def _is_replaced(self, old: Running) -> bool:
        new = self.cluster.running(old.role, old.n)
        return new is not None and new.pid != old.pid

    async def _wait_done(
        self, bus: RedisGatewayBus, accounts: PostgresAccounts, wanted: Topology
    ) -> None:
        """Return when ``wanted`` is in force, and every slot has what is its own."""

        async def is_in_force() -> bool:
            return (await accounts.topologies()).in_force == wanted

        await _until(is_in_force, IN_FORCE_SECONDS_MAX)
        await trio.sleep(BEAT_SECONDS)
        await _until(lambda: _is_settled(bus, wanted), IN_FORCE_SECONDS_MAX)

    def _note(
        self,
        what: str,
        since: float,
        until: float,
        before: Topology,
        after: Topology,
        told: Sequence[Pauses] = (),
    ) -> None:
        """Judge what clocks lost from ``AROUND_SECONDS`` before ``since`` to as long after."""
        held = self._holders.between(since - AROUND_SECONDS, until + AROUND_SECONDS)
        losses = self._tempo.losses(since, until)
        change = Change.of(what, since, until, losses, Chunks(before, after, held), told)
        self.changes.append(change)
        log.info("changed", what=what, seconds=round(change.seconds, 1))
        change.judge(self.findings)

    @asynccontextmanager
    async def _reaching(self) -> AsyncIterator[tuple[RedisGatewayBus, PostgresAccounts]]:
        """Talk to the servers; hear deltas, and see who has which slot, meanwhile."""
        async with (
            trio_asyncio.open_loop(),
            open_postgres(self.cluster.database_url) as postgres,
            open_redis(self.cluster.redis_url) as redis,
        ):
            bus = RedisGatewayBus(redis)
            async with (
                bus.inbound(GatewayId("chaos-tempo")) as inbound,
                trio.open_nursery() as nursery,
            ):
                for chunk in self.chunks:
                    await bus.watch(chunk)

                async def listen() -> None:
                    async for heard in inbound:
                        if isinstance(heard, Delta):
                            self._tempo.hear(heard.chunk, heard.tick, self.now())

                async def look() -> None:
                    while True:
                        self._holders.see((await bus.survey()).holders, self.now())
                        await trio.sleep(HOLDERS_SECONDS)

                nursery.start_soon(listen)
                nursery.start_soon(look)
                yield bus, PostgresAccounts(postgres)
                nursery.cancel_scope.cancel()


async def ask_reshard(cluster: Cluster, shard_count: int) -> None:
    """Ask for so many, and have it heard. Trouble, in a group, while a server is away."""
    async with (
        trio_asyncio.open_loop(),
        open_postgres(cluster.database_url) as postgres,
        open_redis(cluster.redis_url) as redis,
    ):
        await PostgresAccounts(postgres).ask_reshard(shard_count)
        await RedisGatewayBus(redis).announce()


async def _until(is_true: Callable[[], Awaitable[bool]], seconds: float) -> None:
    with trio.fail_after(seconds):
        while not await is_true():  # noqa: ASYNC110 - it is true somewhere else.
            await trio.sleep(LOOK_SECONDS)


async def _is_settled(bus: RedisGatewayBus, wanted: Topology) -> bool:
    """Whether each slot goes by ``wanted``, and none has chunks that are another's."""
    slots = (await bus.survey()).slots
    beats = [slots[slot].beat for slot in wanted.slots if slot in slots]
    known = [beat for beat in beats if beat is not None and beat.epoch == wanted.epoch]
    leaving = sum(state.beat.leaving for state in slots.values() if state.beat is not None)
    return len(known) == wanted.shard_count and not leaving
