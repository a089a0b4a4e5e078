"""The simulated cluster: two servers, and processes that are started, killed, stopped and go on.

It decides nothing: what happens when is the storm's.
"""

from __future__ import annotations

import traceback
from typing import Literal

import attrs
import trio

from common.adapters.memory_postgres import MemoryPostgres
from common.grid import ChunkId
from common.journal import World
from common.topology import Topology
from ops.simulate.books import Books
from ops.simulate.census import Census
from ops.simulate.cuts import Cuts
from ops.simulate.gateway_ports import CableAccounts, CableGatewayBus, WallClock
from ops.simulate.ledger import Ledger
from ops.simulate.network import Cable, Network
from ops.simulate.plan import Plan
from ops.simulate.process import Gateway, Process, Role, Shard
from ops.simulate.rerun import Rerun
from ops.simulate.scheduler import Scheduler
from ops.simulate.servers import Adapters, LeakyRedis
from ops.simulate.shard_ports import CableJournal, CableLeases, CableShardBus
from ops.simulate.wire import Wires
from ops.simulate.writers import Writers
from shard.outside import Outside as ShardOutside

COLLECT_SECONDS = 6.0  # So short that it happens all the time; longer than most calls that fail.
WORLDS = 4  # Different ones: a terrain takes some ms to make, and is remembered in a process.


@attrs.define(eq=False)
class Cluster:
    plan: Plan
    ledger: Ledger
    scheduler: Scheduler
    network: Network
    adapters: Adapters
    nursery: trio.Nursery
    clock: WallClock = attrs.field(factory=WallClock, init=False)
    """PostgreSQL's."""
    census: Census = attrs.field(init=False)
    books: Books = attrs.field(init=False)
    writers: Writers = attrs.field(init=False)
    rerun: Rerun = attrs.field(init=False)
    cuts: Cuts = attrs.field(init=False)
    redis: LeakyRedis = attrs.field(init=False)
    postgres: MemoryPostgres = attrs.field(init=False)
    processes: list[Process] = attrs.field(factory=list, init=False)
    """In order of birth: those that live."""
    _births: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.census, self.books = Census(self.ledger), Books(self.ledger)
        self.cuts = Cuts(self.plan.reconnects, self.network)
        self.writers = Writers(self.ledger, self.census)
        self.redis = LeakyRedis(self.network, self.census)
        seed = self.plan.seed % WORLDS
        self.postgres = MemoryPostgres(self.clock.now_ms, world=World("wld_simulated", seed))
        self.rerun = Rerun(self.postgres, self.census, self.ledger)
        self.postgres.topology = Topology(1, self.plan.shards)

    def start_all(self) -> None:
        self.start_shards()
        for number in range(self.plan.gateways):
            self.start("gateway", number)

    def generation(self, chunk: ChunkId) -> int:
        kept = self.postgres.chunks.get(chunk)
        return kept.generation if kept is not None else 1

    # Processes

    def start_shards(self) -> None:
        for number in range(self.plan.shards + 1):  # One is a spare.
            self.start("shard", number)

    def start(self, kind: Literal["shard", "gateway"], number: int) -> None:
        self._births += 1
        name = f"{kind}-{number}.{self._births}"
        cable, stop, drain = Cable(self.network), trio.Event(), trio.Event()
        role = (
            self._shard(name, cable, stop, drain) if kind == "shard" else self._gateway(name, cable)
        )
        process = Process(kind, number, name, role, cable, stop, drain)
        self.processes.append(process)
        self.ledger.event(f"{name} starts")
        self.network.start(lambda: self._run(process))

    def _shard(self, name: str, cable: Cable, stop: trio.Event, drain: trio.Event) -> Shard:
        outside = ShardOutside(
            CableShardBus(self.adapters.shard_bus(self.redis), cable),
            CableLeases(self.adapters.leases(self.redis), cable),
            CableJournal(
                self.adapters.journal(self.postgres), cable, self.writers, self.rerun, name
            ),
            WallClock(),
            COLLECT_SECONDS,
        )
        return Shard(outside, name, stop, drain)

    def _gateway(self, name: str, cable: Cable) -> Gateway:
        return Gateway(
            CableGatewayBus(self.adapters.gateway_bus(self.redis), cable),
            CableAccounts(self.adapters.accounts(self.postgres), cable),
            WallClock(),
            COLLECT_SECONDS,
            name,
            trio.Event(),
            self.plan.dice(name),
            Wires(self.plan.dice(f"{name} wires"), self.ledger),
        )

    async def _run(self, process: Process) -> None:
        try:
            await process.run()
        except Exception as fell:  # noqa: BLE001  Whatever it is: a process fell by a bug.
            last = traceback.format_exception(fell)
            self.ledger.violate(f"{process.name} fell: {fell!r}\n{''.join(last)[-6_000:]}")
        if process in self.processes:  # Nobody ended it: it has drained.
            self.ledger.event(f"{process.name} has drained")
            self.ledger.count("drains")
            self.processes.remove(process)
            self.start(process.kind, process.number)

    def drain(self, process: Process) -> None:
        """It ends by itself, and is started anew."""
        self.ledger.event(f"{process.name} is to drain")
        process.drain.set()

    async def kill(self, process: Process) -> None:
        """Return once nothing of it is left."""
        self.ledger.event(f"{process.name} is killed")
        self.processes.remove(process)
        process.kill()
        self.go_on(process)
        await process.ended.wait()

    def pause(self, process: Process) -> None:
        self.ledger.event(f"{process.name} is stopped")
        self.scheduler.stop(process.name)

    def go_on(self, process: Process) -> None:
        if self.scheduler.is_stopped(process.name):
            self.ledger.event(f"{process.name} goes on")
            self.scheduler.go_on(process.name)

    def shards(self) -> list[Process]:
        return [one for one in self.processes if one.kind == "shard"]

    def gateways(self) -> list[Gateway]:
        """Those that take connections."""
        roles: list[Role] = [one.role for one in self.processes]
        return [role for role in roles if isinstance(role, Gateway) and role.is_open]
