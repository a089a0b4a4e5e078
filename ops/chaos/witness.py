"""A spectator of everything, who moves from gateway to gateway and resumes by its last event id.

It holds each gateway to the promise about streams: what follows follows without a gap, or a
``resync`` says that it does not. What it sees goes into the chronicle.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import attrs
import trio

from common.frames import ChunkDelta, ChunkStatic, Resync, SpectatorReady
from common.grid import ChunkId
from ops.chaos.chronicle import TICKS, Chronicle
from ops.chaos.findings import Findings
from ops.client import Refused, SpectatorEvent, StreamBroken, View, spectate

STAY_SECONDS = (4.0, 15.0)  # With one gateway: long enough to see some, short enough to change.
RETRY_SECONDS = 0.3  # A gateway that refuses is starting, or waits for Redis.


@attrs.define
class Witness:
    name: str
    urls: Sequence[str]
    chunks: Sequence[ChunkId]
    chronicle: Chronicle
    findings: Findings
    view: View = attrs.field(factory=View)
    resumes: int = 0
    resyncs: int = 0
    gaps: dict[ChunkId, list[tuple[int, int]]] = attrs.field(factory=dict)
    """Ticks that it was told it missed: after the first, up to the second."""
    _told: set[ChunkId] = attrs.field(factory=set)
    """Chunks for which a resync was said, and whose static has not come yet."""
    _last_id: str | None = None

    async def run(self, chance: random.Random) -> None:
        """Watch until cancelled."""
        turn = chance.randrange(len(self.urls))
        while True:
            url = self.urls[turn % len(self.urls)]
            try:
                with trio.move_on_after(chance.uniform(*STAY_SECONDS)):
                    async with spectate(url, self.chunks, self._last_id) as events:
                        async for event in events:
                            self.hear(event)
            except Refused:
                await trio.sleep(RETRY_SECONDS)
            turn += 1

    def hear(self, event: SpectatorEvent) -> None:
        self._last_id = event.id or self._last_id
        match event.frame:
            case SpectatorReady(resumed=resumed):
                self.resumes += resumed
            case Resync(chunk=chunk):
                self.resyncs += 1
                self._told.update(self.chunks if chunk is None else [chunk])
            case ChunkStatic() as static:
                self._shown(static)
            case ChunkDelta() as delta:
                self._saw(delta)

    def _shown(self, static: ChunkStatic) -> None:
        chunk = static.chunk
        known = self.view.replicas.get(chunk)
        if known is not None:
            if chunk not in self._told:
                self._wrong(chunk, f"shown again at {static.tick} without a resync")
            if static.tick < known.tick:
                self._wrong(chunk, f"ticks went back from {known.tick} to {static.tick}")
            self.gaps.setdefault(chunk, []).append((known.tick, static.tick))
        self._told.discard(chunk)
        self.chronicle.show(static)
        self.view.see(static)

    def _saw(self, delta: ChunkDelta) -> None:
        if delta.chunk in self._told:
            return  # Told that it is broken; the static that mends it is on its way.
        try:
            self.view.see(delta)
        except StreamBroken as broken:
            self._wrong(delta.chunk, str(broken))
            self.view.replicas.pop(delta.chunk, None)
            self._told.add(delta.chunk)  # One hole is reported once.
            return
        self.chronicle.note(delta)

    def _wrong(self, chunk: ChunkId, details: str) -> None:
        self.findings.add(TICKS, f"{self.name} {chunk}", details, self.chronicle.now())
