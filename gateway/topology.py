"""Where messages to a chunk go: the slot that holds it, by the topology known now.

One instance of Routes a process, asked at each message, so that a change counts from the next one
on. ``follow`` learns of changes: by news, and by a look each GATEWAY_LOOK_SECONDS. What was sent by
an older topology is passed on by the shards.
"""

from __future__ import annotations

import attrs
import structlog
import trio

from common.errors import Trouble
from common.grid import ChunkId, Slot, slot_of
from common.limits import GATEWAY_LOOK_SECONDS, POSTGRES_SECONDS_MAX, REDIS_SECONDS_MAX
from common.topology import Topology
from gateway.ports import Accounts, Bus

_log = structlog.get_logger()


@attrs.define
class Routes:
    topology: Topology

    def slot(self, chunk: ChunkId) -> Slot:
        return slot_of(chunk, self.topology.shard_count)

    def learn(self, topology: Topology) -> None:
        """Go by ``topology`` from now on, unless it is an older one."""
        if topology.epoch > self.topology.epoch:
            _log.info("topology", epoch=topology.epoch, shard_count=topology.shard_count)
            self.topology = topology


async def follow(bus: Bus, accounts: Accounts, routes: Routes) -> None:
    """Keep ``routes`` up to date, until cancelled."""
    heard = "0"
    while True:
        heard = await _wait_news(bus, heard)
        with trio.move_on_after(POSTGRES_SECONDS_MAX):
            try:
                routes.learn((await accounts.topologies()).in_force)
            except Trouble as trouble:
                _log.warning("cannot read the topology", trouble=str(trouble))


async def _wait_news(bus: Bus, heard: str) -> str:
    """Return the position of the last news; also when there was none for a while."""
    began = trio.current_time()
    try:
        with trio.fail_after(GATEWAY_LOOK_SECONDS + REDIS_SECONDS_MAX):
            return await bus.news(heard, round(GATEWAY_LOOK_SECONDS * 1000))
    except (Trouble, trio.TooSlowError):
        await trio.sleep_until(began + GATEWAY_LOOK_SECONDS)
        return heard
