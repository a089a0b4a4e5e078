"""Change the number of shards under load, or replace every process in turn, and measure it.

Asked for where an operator's call asks; what it took is seen from outside (``tempo``) and told by
the shards themselves (their beats). It judges the pauses; whether anything was lost or doubled is
the referee's to say.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
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
from common.grid import ChunkId, GatewayId, Slot, slot_of
from common.limits import TICK_SECONDS
from common.topology import Pauses, Topology
from ops.chaos.cluster import Cluster
from ops.chaos.findings import Findings
from ops.chaos.tempo import AROUND_SECONDS, Tempo
from ops.up.run_folder import Running

PAUSE_SECONDS_MAX = 1.0  # The promise for a chunk that moves, of 99 in a hundred.
STAYING_SECONDS_MAX = TICK_SECONDS  # And for one that stays: one late tick.
IN_FORCE_SECONDS_MAX = 30.0
REPLACED_SECONDS_MAX = 40.0
BEAT_SECONDS = 1.2  # Until every slot has said how it went.
LOOK_SECONDS = 0.05

log = structlog.get_logger("tessera.chaos")


@attrs.frozen
class Change:
    """One change of the count, or one process replaced, and what it cost."""

    what: str
    at: float
    seconds: float
    """Until all of it was done."""
    moved: Sequence[float] = ()
    """Pauses of chunks that moved, seconds, seen from outside."""
    staying: Sequence[float] = ()
    """What the clocks of the others lost."""
    told: Sequence[Pauses] = ()
    """What the slots said themselves."""


@attrs.frozen
class Chunks:
    """Which of them a change leaves where they are."""

    before: Topology
    after: Topology
    held: Mapping[Slot, str]
    """Which process had which slot before."""
    holds: Mapping[Slot, str]

    def stays(self, chunk: ChunkId) -> bool:
        """Whether it keeps its slot, and its slot the process: some end, and hand theirs over."""
        slot = slot_of(chunk, self.after.shard_count)
        if slot != slot_of(chunk, self.before.shard_count):
            return False
        return self.held.get(slot) == self.holds.get(slot)


@attrs.define
class Reshaper:
    cluster: Cluster
    chunks: Sequence[ChunkId]
    """Those that are watched."""
    findings: Findings
    now: Callable[[], float]
    changes: list[Change] = attrs.field(factory=list)
    _tempo: Tempo = attrs.field(factory=Tempo)

    async def reshard(self, counts: Sequence[int]) -> None:
        """Change the number of shards to each of ``counts``, one after the other."""
        async with self._reaching() as (bus, accounts):
            before = (await accounts.topologies()).in_force
            await trio.sleep(AROUND_SECONDS)
            for count in counts:
                held = (await bus.survey()).holders
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
                chunks = Chunks(before, wanted, held, survey.holders)
                self._note(what, since, until, chunks, told)
                before = wanted

    async def roll(self) -> None:
        """Replace every shard and every gateway by a new process, one after the other."""
        async with self._reaching() as (bus, accounts):
            slots = (await accounts.topologies()).in_force.slots
            processes = [*self.cluster.shards(), *self.cluster.gateways()]
            await trio.sleep(AROUND_SECONDS)
            for old in processes:
                since = self.now()
                self.cluster.tell_to_end(old)

                async def is_done(old: Running = old) -> bool:
                    held = (await bus.survey()).holders.keys()
                    return self._is_replaced(old) and slots <= held

                await _until(is_done, REPLACED_SECONDS_MAX)
                until = self.now()
                await trio.sleep(AROUND_SECONDS)
                losses = list(self._tempo.losses(since, until).values())
                pauses = [loss + TICK_SECONDS for loss in losses if loss > STAYING_SECONDS_MAX / 2]
                what = f"{old.role}-{old.n} replaced"
                self._judge(Change(what, since, until - since, moved=pauses))

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
        chunks: Chunks,
        told: Sequence[Pauses],
    ) -> None:
        losses = self._tempo.losses(since, until)
        moved, staying = [], []
        for chunk, loss in losses.items():
            if chunks.stays(chunk):
                staying.append(loss)
            else:
                moved.append(loss + TICK_SECONDS)
        self._judge(Change(what, since, until - since, moved, staying, told))

    def _judge(self, change: Change) -> None:
        self.changes.append(change)
        log.info("changed", what=change.what, seconds=round(change.seconds, 1))
        ordered = sorted(change.moved)
        if ordered and ordered[len(ordered) * 99 // 100] >= PAUSE_SECONDS_MAX:
            self.findings.add(
                "a chunk that moves stands still for less than 1 s",
                change.what,
                f"pauses of {[round(pause, 2) for pause in ordered]} s",
                change.at,
            )
        if any(loss > STAYING_SECONDS_MAX * 1.1 for loss in change.staying):
            self.findings.add(
                "a chunk that stays has one late tick at most",
                change.what,
                f"clocks lost {[round(loss, 2) for loss in change.staying]} s",
                change.at,
            )

    @asynccontextmanager
    async def _reaching(self) -> AsyncIterator[tuple[RedisGatewayBus, PostgresAccounts]]:
        """Talk to the servers, and hear deltas meanwhile."""
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

                nursery.start_soon(listen)
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
