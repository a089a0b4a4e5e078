"""One change of who has which chunk: what it cost those that moved, and those that stayed.

Pure. A chunk stays when it keeps its slot, and its slot the process, for as long as the change is
measured; every other one moves. What a change cost is seen from outside (``tempo``); whether that
is within the promise is judged here. Seconds everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

import attrs

from common.grid import ChunkId, Slot, slot_of
from common.limits import TICK_SECONDS
from common.topology import Pauses, Topology
from ops.chaos.findings import Findings

PAUSE_SECONDS_MAX = 1.0  # The promise for a chunk that moves, of 99 in a hundred.
STAYING_SECONDS_MAX = TICK_SECONDS  # And for one that stays: one late tick.

MOVING = "a chunk that moves stands still for less than 1 s"
STAYING = "a chunk that stays has one late tick at most"


@attrs.define
class Holders:
    """Who held which slot, as it was looked at again and again."""

    _looks: list[tuple[float, Mapping[Slot, str]]] = attrs.field(factory=list)

    def see(self, holders: Mapping[Slot, str], at: float) -> None:
        self._looks.append((at, holders))

    def between(self, since: float, until: float) -> Mapping[Slot, Set[str]]:
        """Return the processes that each slot had; names are new with every life of a process."""
        seen: dict[Slot, set[str]] = {}
        for at, holders in self._looks:
            if since <= at <= until:
                for slot, process in holders.items():
                    seen.setdefault(slot, set()).add(process)
        return seen


@attrs.frozen
class Chunks:
    """Which of them a change leaves where they are."""

    before: Topology
    after: Topology
    held: Mapping[Slot, Set[str]]
    """The processes that each slot had, from before the change to after it."""

    def stays(self, chunk: ChunkId) -> bool:
        """Whether it keeps its slot, and its slot the process: some end, and hand theirs over."""
        slot = slot_of(chunk, self.after.shard_count)
        if slot != slot_of(chunk, self.before.shard_count):
            return False
        return len(self.held.get(slot, ())) == 1


@attrs.frozen
class Change:
    """One change of the count, or one process replaced, and what it cost."""

    what: str
    at: float
    seconds: float
    """Until all of it was done."""
    moved: Sequence[float] = ()
    """Pauses of chunks that moved, seen from outside."""
    staying: Sequence[float] = ()
    """What the clocks of the others lost."""
    told: Sequence[Pauses] = ()
    """What the slots said themselves."""

    @classmethod
    def of(
        cls,
        what: str,
        since: float,
        until: float,
        losses: Mapping[ChunkId, float],
        chunks: Chunks,
        told: Sequence[Pauses] = (),
    ) -> Change:
        """Tell the ``losses`` of those that moved from those of the others."""
        moved = [loss + TICK_SECONDS for chunk, loss in losses.items() if not chunks.stays(chunk)]
        staying = [loss for chunk, loss in losses.items() if chunks.stays(chunk)]
        return cls(what, since, until - since, moved, staying, told)

    def judge(self, findings: Findings) -> None:
        ordered = sorted(self.moved)
        if ordered and ordered[len(ordered) * 99 // 100] >= PAUSE_SECONDS_MAX:
            details = f"pauses of {[round(pause, 2) for pause in ordered]} s"
            findings.add(MOVING, self.what, details, self.at)
        if any(loss > STAYING_SECONDS_MAX * 1.1 for loss in self.staying):
            details = f"clocks lost {[round(loss, 2) for loss in self.staying]} s"
            findings.add(STAYING, self.what, details, self.at)
