"""What this process knows of the topology and of the others, and that its slots go by it.

It decides nothing. Whoever doubts whether a chunk is still ours has it look again.
"""

from __future__ import annotations

import attrs
import structlog

from common.limits import POSTGRES_SECONDS_MAX, REDIS_SECONDS_MAX
from common.topology import Survey, Topologies
from shard.patience import bounded
from shard.ports import Bus, Journal
from shard.routes import Routes

_log = structlog.get_logger()


@attrs.define(eq=False)
class Outlook:
    _bus: Bus
    _journal: Journal
    _name: str
    topologies: Topologies
    survey: Survey = attrs.field(factory=Survey, init=False)
    routes: list[Routes] = attrs.field(factory=list, init=False)
    """Those of the slots that are served."""

    async def look(self) -> None:
        """Look at everything."""
        await self.look_at_topology()
        self.survey = await bounded(REDIS_SECONDS_MAX, lambda: self._bus.survey(self._name))

    async def look_at_topology(self) -> None:
        self.learn(await bounded(POSTGRES_SECONDS_MAX, self._journal.topologies))

    def learn(self, topologies: Topologies) -> None:
        """Go by ``topologies``, unless they are older than what we know."""
        known = self.topologies.in_force
        if topologies.in_force.epoch < known.epoch:
            return
        self.topologies = topologies
        if topologies.in_force != known:
            in_force = topologies.in_force
            _log.info("topology", epoch=in_force.epoch, shard_count=in_force.shard_count)
        for routes in self.routes:
            routes.change(topologies.in_force)
