"""The big faults, one after another: processes die or stand still, servers go away or forget.

It is drawn from the seed. What it breaks it mends again: in production a supervisor, a person or
time would.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import attrs
import trio

from common.adapters.memory_gateway_bus import MemoryGatewayBus
from ops.simulate.cluster import Cluster
from ops.simulate.gateway_ports import WallClock
from ops.simulate.plan import Fault
from ops.simulate.process import Gateway, Process

PAUSE_SECONDS_MEAN = 4.0  # Between two faults: some overlap.
CLOCK_MS_MAX = 900  # Two clocks differ by less than COMMAND_GRACE_MS, as is required of operators.
STOPPED_SECONDS = (2.0, 9.0)  # Around the length of a lease, and well beyond it.
AWAY_SECONDS = (0.2, 12.0)
REBIRTH_SECONDS = (0.1, 6.0)
SHARDS_MAX = 6
ANNOUNCED_RATE = 0.7
DRAIN_SECONDS = 30.0  # As TESSERA_DRAIN_SECONDS.


@attrs.define(eq=False)
class Storm:
    _cluster: Cluster
    _dice: random.Random

    async def rage(self) -> None:
        """Until cancelled."""
        faults = self._faults()
        if not faults:
            await trio.sleep_forever()
        async with trio.open_nursery() as nursery:
            while True:
                await trio.sleep(self._dice.expovariate(1 / PAUSE_SECONDS_MEAN))
                nursery.start_soon(self._dice.choice(faults))

    async def end(self) -> None:
        """Mend everything."""
        cluster = self._cluster
        cluster.ledger.event("the storm is over")
        cluster.network.weather.is_bad = False
        cluster.redis.down = cluster.postgres.down = False
        cluster.postgres.commit_doubt = None
        # A message that is lost alone shows at the next delta, which may never come. Redis loses
        # one only with the subscription, and then the streams are read: so here, in the end.
        cluster.redis.cut()
        for process in cluster.processes:
            cluster.go_on(process)
        living = {(one.kind, one.number) for one in cluster.processes}
        for number in range(cluster.plan.shards + 1):
            if ("shard", number) not in living:
                cluster.start("shard", number)
        for number in range(cluster.plan.gateways):
            if ("gateway", number) not in living:
                cluster.start("gateway", number)

    def _faults(self) -> list[Callable[[], Awaitable[None]]]:
        known = {
            Fault.KILLS: [self._kill_shard, self._kill_shard, self._kill_gateway],
            Fault.PAUSES: [self._pause_shard, self._pause_shard, self._pause_gateway],
            Fault.OUTAGES: [self._lose_redis, self._lose_postgres, self._doubt_commit],
            Fault.FLUSHES: [self._flush_redis],
            Fault.CLOCKS: [self._turn_clock],
            Fault.PUBSUB: [self._cut_subscriptions],
            Fault.RESHARDS: [self._reshard, self._reshard],
            Fault.DRAINS: [self._drain, self._drain_slot],
        }
        return [
            act
            for fault in Fault
            if fault in self._cluster.plan.faults
            for act in known.get(fault, ())
        ]

    def _some(self, kind: str) -> Process | None:
        """A process that lives and runs."""
        cluster = self._cluster
        running = [
            one
            for one in cluster.processes
            if one.kind == kind and not cluster.scheduler.is_stopped(one.name)
        ]
        return self._dice.choice(running) if running else None

    async def _kill_shard(self) -> None:
        await self._kill("shard")

    async def _kill_gateway(self) -> None:
        await self._kill("gateway")

    async def _kill(self, kind: str) -> None:
        if (process := self._some(kind)) is not None:
            seconds = self._dice.uniform(*REBIRTH_SECONDS)
            await self._cluster.kill(process)
            await trio.sleep(seconds)
            self._cluster.start(process.kind, process.number)

    async def _pause_shard(self) -> None:
        await self._pause("shard")

    async def _pause_gateway(self) -> None:
        await self._pause("gateway")

    async def _pause(self, kind: str) -> None:
        if (process := self._some(kind)) is not None:
            self._cluster.pause(process)
            await trio.sleep(self._dice.uniform(*STOPPED_SECONDS))
            self._cluster.go_on(process)

    async def _reshard(self) -> None:
        """Sometimes nobody is told: then it is seen by who looks."""
        cluster = self._cluster
        wanted = cluster.postgres.ask_reshard(self._dice.randint(1, SHARDS_MAX))
        cluster.ledger.event(f"{wanted.shard_count} shards are wanted")
        cluster.ledger.count("reshards")
        if self._dice.random() < ANNOUNCED_RATE:
            cluster.redis.stir()
        await trio.lowlevel.checkpoint()

    async def _drain(self) -> None:
        """As SIGTERM does; what takes too long is cut off."""
        if (process := self._some("shard")) is not None:
            self._cluster.drain(process)
            with trio.move_on_after(DRAIN_SECONDS):
                await process.ended.wait()
            if process in self._cluster.processes:
                await self._cluster.kill(process)
                self._cluster.start(process.kind, process.number)

    async def _drain_slot(self) -> None:
        """As an operator does, who names a slot."""
        cluster = self._cluster
        held = sorted(cluster.redis.survey().holders)
        if held and not cluster.redis.down:
            slot = self._dice.choice(held)
            cluster.ledger.event(f"whoever holds slot {slot} is told to drain")
            await MemoryGatewayBus(cluster.redis).drain(slot)

    async def _lose_redis(self) -> None:
        redis = self._cluster.redis
        if not redis.down:
            self._cluster.ledger.event("Redis is away")
            redis.down = True
            await trio.sleep(self._dice.uniform(*AWAY_SECONDS))
            self._cluster.ledger.event("Redis is back")
            redis.down = False

    async def _flush_redis(self) -> None:
        self._cluster.ledger.event("Redis has forgotten everything")
        self._cluster.redis.forget()
        await trio.lowlevel.checkpoint()

    async def _lose_postgres(self) -> None:
        postgres = self._cluster.postgres
        if not postgres.down:
            self._cluster.ledger.event("PostgreSQL is away")
            postgres.down = True
            await trio.sleep(self._dice.uniform(*AWAY_SECONDS))
            self._cluster.ledger.event("PostgreSQL is back")
            postgres.down = False

    async def _doubt_commit(self) -> None:
        self._cluster.postgres.commit_doubt = self._dice.choice(("written", "lost"))
        await trio.lowlevel.checkpoint()

    async def _turn_clock(self) -> None:
        clock = self._dice.choice(self._clocks())
        clock.off_ms = self._dice.randrange(-CLOCK_MS_MAX, CLOCK_MS_MAX)
        self._cluster.ledger.event(f"a clock is {clock.off_ms} ms off")
        await trio.lowlevel.checkpoint()

    def _clocks(self) -> list[WallClock]:
        roles = [one.role for one in self._cluster.processes]
        return [self._cluster.clock, *(one.clock for one in roles if isinstance(one, Gateway))]

    async def _cut_subscriptions(self) -> None:
        self._cluster.ledger.event("all subscriptions are cut")
        self._cluster.redis.cut()
        await trio.lowlevel.checkpoint()
