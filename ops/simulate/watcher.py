"""A simulated spectator: it folds what it hears, and comes back with the last id elsewhere.

Over the event stream or over the WebSocket. What it checks is section 3 of the protocol: what was
missed comes after a resume, nothing twice, and a gap is never silent.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import quote

import attrs
import trio
from hypercorn.typing import HTTPScope

from common import wire
from common.frames import ChunkDelta, ChunkStatic, Resync, SpectatorFrame, SpectatorReady
from common.grid import ChunkId
from ops.client.spectator import read_frame
from ops.client.view import StreamBroken, View
from ops.simulate.cluster import Cluster
from ops.simulate.plan import Fault
from ops.simulate.player import websocket_scope
from ops.simulate.process import Gateway
from ops.simulate.reading import read_shown
from ops.simulate.socket import Socket

STAY_SECONDS_MEAN = 15.0


@attrs.define(eq=False)
class Watcher:
    _cluster: Cluster
    name: str
    _chunks: Sequence[ChunkId]
    _dice: random.Random
    _view: View = attrs.field(factory=View, init=False)
    _shown: set[ChunkId] = attrs.field(factory=set, init=False)
    """Chunks of which a static would be a resync."""
    _told: set[ChunkId] = attrs.field(factory=set, init=False)
    """Chunks that a resync spoke of: their static follows."""
    _last_id: str = attrs.field(default="", init=False)
    _rest: str = attrs.field(default="", init=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def live(self) -> None:
        """Until cancelled."""
        while True:
            gateways = self._cluster.gateways()
            if gateways:
                await self._watch(self._dice.choice(gateways))
            await trio.sleep(self._dice.uniform(0.1, 3))

    async def _watch(self, gateway: Gateway) -> None:
        query = f"chunks={','.join(self._chunks)}"
        if self._last_id:
            query += f"&last_event_id={quote(self._last_id)}"
        if self._dice.random() < 0.5:
            socket = Socket("websocket", self._hear_frame, self._stir, self._dice)
            gateway.serve_frames(websocket_scope("/v1/spectate/ws", query), socket)
        else:
            self._rest = ""
            socket = Socket("http", self._hear_events, self._stir, self._dice)
            gateway.serve_events(_http_scope(query), socket)
        seconds = self._dice.expovariate(1 / STAY_SECONDS_MEAN)
        if Fault.CUTS not in self._cluster.plan.faults:
            seconds = 1e9
        with trio.move_on_after(seconds):
            while socket.state in ("opening", "open"):
                await self._changed.wait()
        socket.leave()

    def _stir(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # What it hears

    def _hear_frame(self, text: str) -> None:
        event = cast("dict[str, Any]", wire.parse(text))
        self._hear(str(event.get("id", "")), text.partition('"data":')[2].removesuffix("}"))

    def _hear_events(self, text: str) -> None:
        *events, self._rest = (self._rest + text).split("\n\n")
        for event in events:
            fields = dict(line.split(": ", 1) for line in event.split("\n") if ": " in line)
            if "data" in fields:
                self._hear(fields.get("id", ""), fields["data"])

    def _hear(self, id: str, data: str) -> None:
        self._cluster.ledger.told(self.name, data)
        self._cluster.ledger.count("watched")
        frame = read_shown(data) or read_frame(data)
        assert frame is not None, data
        try:
            self._take(frame)
        except StreamBroken as broken:
            self._cluster.ledger.violate(f"{self.name}: {broken}")
        self._last_id = id or self._last_id

    def _take(self, frame: SpectatorFrame) -> None:
        match frame:
            case SpectatorReady(resumed=resumed):
                self._told.clear()
                if resumed != bool(self._last_id):
                    self._violate(f"resumed={resumed}")
            case Resync(chunk=chunk):
                self._cluster.ledger.count("resyncs")
                self._told.update(self._chunks if chunk is None else [chunk])
            case ChunkStatic():
                self._take_static(frame)
            case ChunkDelta():
                self._view.see(frame)

    def _take_static(self, static: ChunkStatic) -> None:
        chunk = static.chunk
        self._cluster.census.check_static(self.name, static)
        known = self._view.replicas.get(chunk)
        if chunk in self._shown and chunk not in self._told:
            self._violate(f"{chunk} anew, without a resync")
        if known is not None and static.tick < known.tick:
            # A gateway may be behind the one before, and the stream that would tell be lost.
            self._cluster.ledger.count("shown older")
        self._told.discard(chunk)
        self._shown.add(chunk)
        self._view.see(static)

    def _violate(self, text: str) -> None:
        self._cluster.ledger.violate(f"{self.name} was told {text}")


def _http_scope(query: str) -> HTTPScope:
    scope = cast("dict[str, Any]", websocket_scope("/v1/spectate", query))
    del scope["subprotocols"]
    return cast("HTTPScope", scope | {"type": "http", "method": "GET", "scheme": "http"})
