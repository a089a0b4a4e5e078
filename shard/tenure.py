"""One slot in the hands of this process: from the lease to its end.

Nothing of a slot outlives its lease. It decides nothing: who holds it sets ``stop``.
"""

from __future__ import annotations

import attrs
import structlog
import trio

from common.grid import Slot
from shard.beats import Beats
from shard.handover import Handover
from shard.lease import Lease, hold
from shard.outlook import Outlook
from shard.outside import Outside
from shard.routes import Routes
from shard.slot import serve_slot

_log = structlog.get_logger()


@attrs.define(eq=False)
class Tenure:
    _outside: Outside
    _outlook: Outlook
    _lease: Lease
    _holder: str
    _seed: int
    stop: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set by whoever wants the slot to be put in order and given back."""
    ended: trio.Event = attrs.field(factory=trio.Event, init=False)
    beats: Beats | None = attrs.field(default=None, init=False)
    _handover: Handover | None = attrs.field(default=None, init=False)
    """Both are there while it is served."""

    @property
    def slot(self) -> Slot:
        return self._lease.slot

    @property
    def chunks(self) -> int:
        """How many it has, or is about to load."""
        return self.beats.chunks if self.beats is not None else 0

    @property
    def leaving(self) -> int:
        """How many chunks it has that are no longer its own."""
        return self._handover.leaving if self._handover is not None else 0

    def give_back(self) -> None:
        """Hand the slot to whoever takes it next."""
        if self._handover is not None:
            self._handover.has_heir = True
        self.stop.set()

    async def run(self) -> None:
        """Serve until ``stop``, or until the lease is lost."""
        _log.info("slot taken", slot=self.slot, holder=self._holder)
        routes = Routes(self.slot, self._outlook.topologies.in_force)
        self._outlook.routes.append(routes)
        try:
            await hold(
                self._outside.leases,
                self._lease,
                self._holder,
                lambda lose: serve_slot(
                    self._outside,
                    self._outlook,
                    routes,
                    self._holder,
                    self._seed,
                    self.stop,
                    lose,
                    self._wired,
                ),
            )
        finally:
            self._outlook.routes.remove(routes)
            self.beats = self._handover = None
            self.ended.set()

    def _wired(self, beats: Beats, handover: Handover) -> None:
        self.beats, self._handover = beats, handover
