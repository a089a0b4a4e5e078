"""What all witnesses together saw of the world, each delta once, checked while it is seen.

No I/O. A delta that two witnesses saw must be the same for both. Nothing may be said twice, and
nobody moves farther than one cell in a tick. Where agents stood at each tick is kept, so that
results can be held against it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from itertools import pairwise

import attrs

from common.events import Entered, Event, Left, Moved, Said
from common.frames import ChunkDelta, ChunkStatic
from common.grid import AgentId, ChunkId, Tick
from ops.chaos.findings import Findings

TICKS = "streams carry each tick once"
EFFECTS = "no effect happens twice"

Place = tuple[int, int] | None
"""None: elsewhere."""


@attrs.define
class _Track:
    """Where an agent was in a chunk, by tick; ticks rise."""

    ticks: list[Tick] = attrs.field(factory=list)
    places: list[Place] = attrs.field(factory=list)

    def note(self, tick: Tick, place: Place) -> None:
        at = bisect_right(self.ticks, tick)
        self.ticks.insert(at, tick)
        self.places.insert(at, place)

    def at(self, tick: Tick) -> Place:
        index = bisect_right(self.ticks, tick)
        return self.places[index - 1] if index else None


@attrs.define
class Chronicle:
    findings: Findings
    now: Callable[[], float]
    said: dict[str, tuple[AgentId, ChunkId, Tick]] = attrs.field(factory=dict)
    """Every text that was heard, by whom it was said, where and when."""
    _deltas: dict[ChunkId, dict[Tick, tuple[Tick, int]]] = attrs.field(factory=dict)
    """By tick: prev_tick, and a hash of the events."""
    _tracks: dict[tuple[ChunkId, AgentId], _Track] = attrs.field(factory=dict)
    _shown: set[tuple[ChunkId, Tick]] = attrs.field(factory=set)

    @property
    def deltas(self) -> int:
        return sum(len(deltas) for deltas in self._deltas.values())

    def show(self, static: ChunkStatic) -> None:
        """Take in a chunk as a witness was shown it."""
        cells = [(one.x, one.y) for one in static.entities]
        if len(set(cells)) != len(cells):
            self._wrong(static.chunk, f"two agents on one cell at tick {static.tick}: {cells}")
        if (static.chunk, static.tick) not in self._shown:
            self._shown.add((static.chunk, static.tick))
            for one in static.entities:
                self._track(static.chunk, one.id).note(static.tick, (one.x, one.y))

    def note(self, delta: ChunkDelta) -> None:
        """Take in what a witness saw; what another one saw before is compared."""
        seen = self._deltas.setdefault(delta.chunk, {})
        fresh = (delta.prev_tick, hash(tuple(delta.events)))
        if (known := seen.get(delta.tick)) is not None:
            if known != fresh:
                self.findings.add(
                    TICKS, delta.chunk, f"tick {delta.tick} has two deltas: {delta}", self.now()
                )
            return
        seen[delta.tick] = fresh
        follows = delta.prev_tick in seen
        for event in delta.events:
            self._happened(event, delta.chunk, delta.tick, follows)

    def place(self, chunk: ChunkId, agent: AgentId, tick: Tick) -> Place:
        """Where ``agent`` stood in ``chunk`` after ``tick``."""
        track = self._tracks.get((chunk, agent))
        return track.at(tick) if track is not None else None

    def is_whole(self, chunk: ChunkId, tick: Tick) -> bool:
        """Whether all of ``chunk`` up to ``tick`` was seen since the first delta of it."""
        deltas = self._deltas.get(chunk, {})
        ticks = sorted(deltas)
        reached = bisect_right(ticks, tick)
        later = ticks[reached : reached + 1]
        chain = [*ticks[:reached], *later]
        return all(deltas[then][0] == before for before, then in pairwise(chain))

    def _happened(self, event: Event, chunk: ChunkId, tick: Tick, follows: bool) -> None:
        match event:
            case Said(id=id, text=text):
                if (before := self.said.get(text)) is not None:
                    self._wrong(chunk, f"{id} said {text!r} at tick {tick} and before: {before}")
                self.said[text] = (id, chunk, tick)
            case Moved(id=id, x=x, y=y):
                track = self._track(chunk, id)
                was = track.at(Tick(tick - 1))  # The tick itself may have been shown already.
                if follows and was is not None and abs(was[0] - x) + abs(was[1] - y) != 1:
                    self._wrong(chunk, f"{id} went from {was} to {(x, y)} in tick {tick}")
                track.note(tick, (x, y))
            case Entered(id=id, x=x, y=y):
                self._track(chunk, id).note(tick, (x, y))
            case Left(id=id):
                self._track(chunk, id).note(tick, None)
            case _:
                pass

    def _track(self, chunk: ChunkId, agent: AgentId) -> _Track:
        return self._tracks.setdefault((chunk, agent), _Track())

    def _wrong(self, chunk: ChunkId, details: str) -> None:
        self.findings.add(EFFECTS, chunk, details, self.now())
