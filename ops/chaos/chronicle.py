"""What all witnesses together saw of the world, each delta once, checked while it is seen.

No I/O. A delta that two witnesses saw must be the same for both. Nothing may be said twice, and
nobody moves farther than one cell in a tick. Where agents stood at each tick is kept, so that
results can be held against it, as far back as a chunk was seen without a gap.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable

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
class _Stream:
    """What was seen of one chunk."""

    deltas: dict[Tick, tuple[Tick, int]] = attrs.field(factory=dict)
    """By tick: prev_tick, and a hash of the events."""
    statics: list[Tick] = attrs.field(factory=list)
    """Ticks at which it was shown whole; they rise."""
    tracks: dict[AgentId, _Track] = attrs.field(factory=dict)
    _ticks: list[Tick] = attrs.field(factory=list)
    """Of the deltas, in order."""
    _unbroken: list[int] = attrs.field(factory=list)
    """For each of those, the index of the first from which on each names the one before."""

    def track(self, agent: AgentId) -> _Track:
        return self.tracks.setdefault(agent, _Track())

    def show(self, static: ChunkStatic) -> None:
        if static.tick in self.statics:
            return
        insort(self.statics, static.tick)
        for one in static.entities:
            self.track(one.id).note(static.tick, (one.x, one.y))
        for agent in self.tracks.keys() - {one.id for one in static.entities}:
            if self.tracks[agent].at(static.tick) is not None:
                self.tracks[agent].note(static.tick, None)  # It left, and nobody saw it.

    def is_whole(self, tick: Tick) -> bool:
        shown = bisect_left(self.statics, tick)
        if shown == 0:
            return False
        start = self.statics[shown - 1]
        self._link()
        first, after = bisect_right(self._ticks, start), bisect_right(self._ticks, tick)
        if after == len(self._ticks) and self.statics[-1] >= tick and tick not in self.deltas:
            return False  # What was shown since does not say what came before it.
        chain = self._ticks[first : after + 1]
        if not chain:
            return True
        last = first + len(chain) - 1
        return self.deltas[chain[0]][0] <= start and self._unbroken[last] <= first

    def _link(self) -> None:
        if len(self._ticks) == len(self.deltas):
            return
        self._ticks, self._unbroken = sorted(self.deltas), []
        for index, tick in enumerate(self._ticks):
            follows = index > 0 and self.deltas[tick][0] == self._ticks[index - 1]
            self._unbroken.append(self._unbroken[-1] if follows else index)


@attrs.define
class Chronicle:
    findings: Findings
    now: Callable[[], float]
    said: dict[str, tuple[AgentId, ChunkId, Tick]] = attrs.field(factory=dict)
    """Every text that was heard, by whom it was said, where and when."""
    _streams: dict[ChunkId, _Stream] = attrs.field(factory=dict)

    @property
    def deltas(self) -> int:
        return sum(len(stream.deltas) for stream in self._streams.values())

    def show(self, static: ChunkStatic) -> None:
        """Take in a chunk as a witness was shown it."""
        cells = [(one.x, one.y) for one in static.entities]
        if len(set(cells)) != len(cells):
            self._wrong(static.chunk, f"two agents on one cell at tick {static.tick}: {cells}")
        self._stream(static.chunk).show(static)

    def note(self, delta: ChunkDelta) -> None:
        """Take in what a witness saw; what another one saw before is compared."""
        stream = self._stream(delta.chunk)
        fresh = (delta.prev_tick, hash(tuple(delta.events)))
        if (known := stream.deltas.get(delta.tick)) is not None:
            if known != fresh:
                self.findings.add(
                    TICKS, delta.chunk, f"tick {delta.tick} has two deltas: {delta}", self.now()
                )
            return
        stream.deltas[delta.tick] = fresh
        for event in delta.events:
            self._happened(event, delta, stream)

    def place(self, chunk: ChunkId, agent: AgentId, tick: Tick) -> Place:
        """Where ``agent`` stood in ``chunk`` after ``tick``."""
        track = self._stream(chunk).tracks.get(agent)
        return track.at(tick) if track is not None else None

    def is_whole(self, chunk: ChunkId, tick: Tick) -> bool:
        """Whether no delta of ``chunk`` up to ``tick`` is missing since it was last shown before.

        Shown at ``tick`` itself is too late: what was said in it is in no static.
        """
        return self._stream(chunk).is_whole(tick)

    def _happened(self, event: Event, delta: ChunkDelta, stream: _Stream) -> None:
        chunk, tick = delta.chunk, delta.tick
        match event:
            case Said(id=id, text=text):
                if (before := self.said.get(text)) is not None:
                    self._wrong(chunk, f"{id} said {text!r} at tick {tick} and before: {before}")
                self.said[text] = (id, chunk, tick)
            case Moved(id=id, x=x, y=y):
                track = stream.track(id)
                was = track.at(Tick(tick - 1))  # The tick itself may have been shown already.
                follows = delta.prev_tick in stream.deltas
                if follows and was is not None and abs(was[0] - x) + abs(was[1] - y) != 1:
                    self._wrong(chunk, f"{id} went from {was} to {(x, y)} in tick {tick}")
                track.note(tick, (x, y))
            case Entered(id=id, x=x, y=y):
                stream.track(id).note(tick, (x, y))
            case Left(id=id):
                stream.track(id).note(tick, None)
            case _:
                pass

    def _stream(self, chunk: ChunkId) -> _Stream:
        return self._streams.setdefault(chunk, _Stream())

    def _wrong(self, chunk: ChunkId, details: str) -> None:
        self.findings.add(EFFECTS, chunk, details, self.now())
