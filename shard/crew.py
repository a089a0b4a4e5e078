"""The slots that this process serves: taken, given back, and made to follow the topology.

What to take or give back is ``shard.allocation``'s to say; here it is done, one thing at a time,
and looked at again. It also puts a wanted topology in force once all of its slots are held:
whichever process sees that first, for it is a compare-and-set.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import attrs
import structlog
import trio

from common import topics
from common.errors import Trouble
from common.grid import Slot
from common.limits import LOOK_SECONDS, POSTGRES_SECONDS_MAX, REDIS_SECONDS_MAX, SURPLUS_SECONDS
from common.topology import ProcessBeat
from shard.allocation import GiveBack, Take, View, next_move
from shard.lease import try_lease
from shard.outlook import Outlook
from shard.outside import Outside
from shard.patience import bounded
from shard.tenure import Tenure

_log = structlog.get_logger()


@attrs.define(eq=False)
class Crew:
    _outside: Outside
    _outlook: Outlook
    _name: str
    _seed: int
    _nursery: trio.Nursery
    """In which the slots live."""
    is_draining: bool = attrs.field(default=False, init=False)
    """All slots are handed over, and none is taken any more."""
    _tenures: dict[Slot, Tenure] = attrs.field(factory=dict, init=False)
    _count: Iterator[int] = attrs.field(factory=lambda: itertools.count(1), init=False)
    _free_since: dict[Slot, float] = attrs.field(factory=dict, init=False)
    _idle_since: dict[Slot, float] = attrs.field(factory=dict, init=False)
    """Slots of ours that nobody needs."""

    @property
    def serving(self) -> Sequence[Tenure]:
        return [one for one in self._tenures.values() if not one.ended.is_set()]

    def stop(self) -> None:
        """Have every slot put in order and given back, all at once."""
        for tenure in self.serving:
            tenure.stop.set()

    async def drain(self) -> None:
        """Hand over one slot after the other; ``run`` returns once none is left. Trouble."""
        self.is_draining = True
        await self.beat()
        await bounded(REDIS_SECONDS_MAX, self._outside.bus.announce)

    async def run(self) -> None:
        """Take and give back until nothing is left to be handed over, or until cancelled."""
        heard, is_said = "0", False
        while True:
            try:
                await self._outlook.look()
                while await self._act():
                    await self._outlook.look()
                is_said = False
                if self.is_draining and not self.serving:
                    return
                heard = await self._wait_news(heard)
            except Trouble as trouble:
                if not is_said:
                    _log.warning("cannot look who holds what", trouble=str(trouble))
                is_said = True
                await trio.sleep(LOOK_SECONDS)

    async def _wait_news(self, heard: str) -> str:
        wait_ms = round(LOOK_SECONDS * 1000)
        return await bounded(
            LOOK_SECONDS + REDIS_SECONDS_MAX, lambda: self._outside.bus.news(heard, wait_ms)
        )

    async def beat(self) -> None:
        """Say what we have. Trouble."""
        beat = self._own_beat()
        await bounded(REDIS_SECONDS_MAX, lambda: self._outside.bus.beat_process(self._name, beat))

    def _own_beat(self) -> ProcessBeat:
        serving = self.serving
        chunks = sum(one.chunks for one in serving)
        return ProcessBeat(tuple(sorted(one.slot for one in serving)), chunks, self.is_draining)

    async def _act(self) -> bool:
        """Do the next thing that is to be done; False when there is none."""
        if self._outlook.survey.is_told_to_drain and not self.is_draining:
            _log.info("told to drain")
            await self.drain()
        if await self._change_topology():
            return True
        match next_move(self._view()):
            case Take(slot):
                return await self._take(slot)
            case GiveBack(slots):
                for slot in slots:
                    self._give_back(slot)
            case None:
                pass
        self._let_go()
        return False

    async def _change_topology(self) -> bool:
        """Put in force what is wanted, if all of its slots are held."""
        wanted = self._outlook.topologies.wanted
        holders = self._outlook.survey.holders
        if not self._outlook.topologies.is_changing or not wanted.slots <= holders.keys():
            return False
        journal, bus = self._outside.journal, self._outside.bus
        self._outlook.learn(
            await bounded(POSTGRES_SECONDS_MAX, lambda: journal.begin_topology(wanted.epoch))
        )
        await bounded(REDIS_SECONDS_MAX, bus.announce)
        return True

    # Slots

    @property
    def _needed(self) -> frozenset[Slot]:
        """Slots in force, wanted ones, and those with a stream that nobody would read."""
        topologies, slots = self._outlook.topologies, self._outlook.survey.slots
        orphans = {slot for slot, state in slots.items() if state.waiting and not state.process}
        return topologies.in_force.slots | topologies.wanted.slots | orphans

    def _view(self) -> View:
        topologies, survey = self._outlook.topologies, self._outlook.survey
        now, needed = trio.current_time(), self._needed
        holders = dict(survey.holders)
        holders.update((one.slot, self._name) for one in self.serving)
        free = needed - holders.keys()
        self._free_since = {slot: self._free_since.get(slot, now) for slot in free}
        return View(
            self._name,
            needed,
            holders,
            {**survey.processes, self._name: self._own_beat()},
            settled=needed - (topologies.wanted.slots - topologies.in_force.slots),
            free_seconds={slot: now - since for slot, since in self._free_since.items()},
            own_chunks={one.slot: one.chunks for one in self.serving},
            is_busy=any(one.stop.is_set() or one.leaving for one in self.serving),
        )

    async def _take(self, slot: Slot) -> bool:
        holder = topics.holder(self._name, next(self._count))
        lease = await try_lease(self._outside.leases, slot, holder)
        if lease is None:
            return False  # Another was quicker.
        tenure = Tenure(self._outside, self._outlook, lease, holder, self._seed)
        self._tenures[slot] = tenure
        self._nursery.start_soon(tenure.run)
        await self.beat()
        return True

    def _give_back(self, slot: Slot) -> None:
        tenure = self._tenures.get(slot)
        if tenure is not None and not tenure.stop.is_set():
            _log.info("slot is given back", slot=slot)
            tenure.give_back()

    def _let_go(self) -> None:
        """Give back what is no longer needed, once late gateways know it and all is passed on."""
        survey, now = self._outlook.survey, trio.current_time()
        surplus = {one.slot for one in self.serving} - self._needed
        self._idle_since = {slot: self._idle_since.get(slot, now) for slot in surplus}
        for slot, since in self._idle_since.items():
            state = survey.slots.get(slot)
            is_empty = state is None or not state.waiting
            if is_empty and not self._tenures[slot].leaving and now >= since + SURPLUS_SECONDS:
                self._give_back(slot)
