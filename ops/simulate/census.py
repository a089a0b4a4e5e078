"""Who stands where, by the deltas that were published: the world as anybody can know it.

It hears each delta in the moment of its publication, whoever else hears it. What it checks: a
chunk's ticks never go back and its deltas name each other; nobody shares a cell; nobody enters a
chunk who is in another one than that he comes from, or leaves for one in which he has not
arrived; nothing is said twice. Who has gone on is shown behind until that chunk says so, and
its shard may be dead meanwhile: that is not being there. A chunk is collected with nobody in it,
and what comes after names that tick: one gap a generation. A Redis that has forgotten what it
published may be told again, but the very same.
"""

from __future__ import annotations

from collections import Counter

import attrs

from common.bus import Delta
from common.events import Entered, Event, Failed, Left, Moved, Said
from common.frames import ChunkDelta, ChunkStatic
from common.grid import AgentId, ChunkId, Tick
from ops.simulate.ledger import Ledger
from ops.simulate.reading import read_shown
from ops.transcript import Original

Place = tuple[int, int]


@attrs.define(eq=False)
class Parish:
    """One chunk."""

    tick: Tick = Tick(0)
    known: Tick = Tick(0)
    """The last that Redis was told, since it has forgotten everything."""
    places: dict[AgentId, Place] = attrs.field(factory=dict)
    history: dict[Tick, dict[AgentId, Place]] = attrs.field(factory=dict)
    """After each delta."""
    ends: list[Tick] = attrs.field(factory=list)
    """Of its generations, in order."""
    original: Original = attrs.field(factory=Original)


@attrs.define(eq=False)
class Census:
    _ledger: Ledger
    parishes: dict[ChunkId, Parish] = attrs.field(factory=dict, init=False)
    originals: dict[ChunkId, Original] = attrs.field(factory=dict, init=False)
    said: Counter[str] = attrs.field(factory=Counter, init=False)
    _ended: set[AgentId] = attrs.field(factory=set, init=False)
    """Who left the world, and has not come back since."""
    _behind: dict[AgentId, dict[ChunkId, ChunkId]] = attrs.field(factory=dict, init=False)
    """Where somebody is still shown who has gone on -> where it has entered from there."""

    def hear(self, delta: Delta) -> None:
        self._ledger.count("deltas")
        text = delta.data.decode()
        self._ledger.told(f"{delta.chunk} {delta.prev_tick} {delta.tick}", text)
        parish = self._parish(delta.chunk)
        is_forgotten, parish.known = delta.tick > parish.known, max(delta.tick, parish.known)
        if is_forgotten and parish.original.data.get(delta.tick) == delta.data:
            return
        if delta.tick <= parish.tick:
            self._ledger.violate(f"{delta.chunk}: tick {delta.tick} after {parish.tick}")
            return
        parish.original.add(delta.tick, delta.data)
        if delta.prev_tick != parish.tick:
            self._ledger.violate(
                f"{delta.chunk}: a delta {delta.prev_tick}..{delta.tick} after {parish.tick}"
            )
        if parish.ends and parish.tick == parish.ends[-1]:
            self._ledger.count("reborn")
        parish.tick = delta.tick
        parish.places = dict(parish.places)
        frame = read_shown(text)
        assert isinstance(frame, ChunkDelta), text
        for event in frame.events:
            self._apply(event, delta.chunk, parish)
        parish.history[delta.tick] = parish.places
        self._check_cells(delta.chunk, parish)

    def forget(self) -> None:
        """Redis was emptied: it can't know what was published."""
        for parish in self.parishes.values():
            parish.known = Tick(0)

    def _parish(self, chunk: ChunkId) -> Parish:
        parish = self.parishes.setdefault(chunk, Parish())
        self.originals[chunk] = parish.original
        return parish

    def end(self, chunk: ChunkId, tick: Tick) -> None:
        """PostgreSQL has forgotten ``chunk``: what comes next begins after ``tick``."""
        self._ledger.count("collected")
        parish = self._parish(chunk)
        if parish.places:
            self._ledger.violate(f"{chunk} was collected with {sorted(parish.places)} in it")
        if tick <= parish.tick:
            self._ledger.violate(f"{chunk} ended at {tick}, after tick {parish.tick} was shown")
        parish.tick = tick
        parish.ends.append(tick)

    def _apply(self, event: Event, chunk: ChunkId, parish: Parish) -> None:
        match event:
            case Entered(id=id, x=x, y=y, from_=source):
                self._enter(id, chunk, source)
                parish.places[id] = x, y
            case Moved(id=id, x=x, y=y):
                if id not in parish.places:
                    self._ledger.violate(f"{id} moved in {chunk} without being there")
                parish.places[id] = x, y
            case Left(id=id, to=to):
                if parish.places.pop(id, None) is None:
                    self._ledger.violate(f"{id} left {chunk} without being there")
                self._leave(id, chunk, to)
                self._ledger.count("crossings" if to else "leavings")
            case Said(text=text):
                self.said[text] += 1
                if self.said[text] > 1:
                    self._ledger.violate(f"{text!r} was said twice")
            case Failed():
                pass

    def _enter(self, id: AgentId, chunk: ChunkId, source: ChunkId | None) -> None:
        """Check that ``id`` comes from the one chunk that it is really in, if it is in any."""
        shown, behind = self.chunks_of(id), self._behind.setdefault(id, {})
        if chunk in shown:
            self._ledger.violate(f"{id} entered {chunk} twice")
        elsewhere = [one for one in shown if one not in (chunk, source, *behind)]
        if elsewhere or source in behind:
            whence = f"from {source}" if source else "from nowhere"
            self._ledger.violate(f"{id} entered {chunk} {whence} and is in {elsewhere}")
        if source is not None:
            behind[source] = chunk
        self._ended.discard(id)

    def _leave(self, id: AgentId, chunk: ChunkId, to: ChunkId | None) -> None:
        if to is None:
            self._ended.add(id)
            return
        went = self._behind.get(id, {}).pop(chunk, None)
        if to != went:
            self._ledger.violate(f"{id} left {chunk} for {to} and went to {went or 'none'}")
        elif id not in self._ended and not self.chunks_of(id):
            self._ledger.violate(f"{id} left {chunk} for {to} and is in none")

    def _check_cells(self, chunk: ChunkId, parish: Parish) -> None:
        if len(set(parish.places.values())) < len(parish.places):
            self._ledger.violate(f"two agents share a cell of {chunk} at tick {parish.tick}")

    def chunks_of(self, agent: AgentId) -> list[ChunkId]:
        return [id for id, parish in self.parishes.items() if agent in parish.places]

    def check_static(self, whom: str, static: ChunkStatic) -> None:
        """What is shown whole is what the deltas up to there add up to."""
        parish = self.parishes.get(static.chunk, Parish())
        ticks = [tick for tick in parish.history if tick <= static.tick]
        known = parish.history[max(ticks)] if ticks else {}
        shown: dict[AgentId, Place] = {one.id: (one.x, one.y) for one in static.entities}
        if shown != known:
            self._ledger.violate(
                f"{whom} was shown {static.chunk} at {static.tick} with {shown}, not {known}"
            )
        generation = 1 + sum(end <= static.tick for end in parish.ends)
        if static.generation != generation:
            self._ledger.violate(
                f"{whom} was shown generation {static.generation} of {static.chunk} at"
                f" {static.tick}, not {generation}"
            )
