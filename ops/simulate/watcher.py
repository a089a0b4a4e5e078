"""A simulated spectator: it writes down what it hears, and comes back with the last id elsewhere.

Over the event stream, plain or not, or over the WebSocket. What it checks is section 3 of the
protocol: what was missed comes after a resume, nothing twice, and a gap is never silent. What it
was told is held against what was published, delta by delta, over all its connections.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import quote

import attrs
import trio
from hypercorn.typing import HTTPScope

from common.frames import ChunkDelta, ChunkStatic, Resync, SpectatorFrame, SpectatorReady
from common.grid import ChunkId
from ops.client.spectator import read_frame
from ops.event_stream import Events, read_frame_event
from ops.simulate.cluster import Cluster
from ops.simulate.plan import Fault
from ops.simulate.player import websocket_scope
from ops.simulate.process import Gateway
from ops.simulate.reading import read_shown
from ops.simulate.socket import Socket
from ops.simulate.wire import STATE
from ops.transcript import Transcript

STAY_SECONDS_MEAN = 15.0
AWAY_SECONDS = (0.1, 3.0)
SLOW_RATE = 0.04
SLOW_SECONDS_MAX = 60.0
RELOAD_RATE = 0.05  # Of the times that it comes: without an id, as a page that is loaded again.
FOREIGN_RATE = 0.02  # With an id that is none of ours.
FOREIGN_ID = "1.99"


@attrs.define(eq=False)
class Watcher:
    _cluster: Cluster
    name: str
    _chunks: Sequence[ChunkId]
    _dice: random.Random
    is_done: bool = attrs.field(default=False, init=False)
    """Stays where it is from now on, unless its gateway ends it."""
    transcript: Transcript = attrs.field(init=False)
    _latest: dict[ChunkId, int] = attrs.field(factory=dict, init=False)
    _socket: Socket | None = attrs.field(default=None, init=False)
    _last_id: str = attrs.field(default="", init=False)
    _events: Events = attrs.field(factory=Events, init=False)
    _was_cut: bool = attrs.field(default=False, init=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self.transcript = Transcript(self._cluster.census.originals)

    async def live(self) -> None:
        """Until cancelled."""
        while True:
            gateways = self._cluster.gateways()
            if gateways:
                await self._watch(self._dice.choice(gateways))
            await trio.sleep(self._dice.uniform(*AWAY_SECONDS) * (0.2 if self._was_cut else 1))

    async def _watch(self, gateway: Gateway) -> None:
        socket = self._socket = self._knock(gateway)
        if self._may_be_cut:
            self._cluster.cuts.threaten(socket, self._dice)
            if self._dice.random() < SLOW_RATE:
                seconds = self._dice.uniform(1, SLOW_SECONDS_MAX)
                socket.slow_until = trio.current_time() + seconds
        until = trio.current_time() + self._dice.expovariate(1 / STAY_SECONDS_MEAN)
        while socket.state in ("opening", "open"):
            with trio.move_on_at(until if self._may_be_cut else 1e9) as stay:
                await self._changed.wait()
            if stay.cancelled_caught and self._may_be_cut:
                socket.leave()
        self._was_cut = self._was_cut or socket.is_cut
        socket.vanish()

    @property
    def _may_be_cut(self) -> bool:
        return Fault.CUTS in self._cluster.plan.faults and not self.is_done

    def finish(self) -> None:
        self.is_done = True
        if self._socket is not None and self._socket.slow_until > trio.current_time():
            self._socket.leave()
        self._stir()

    def _knock(self, gateway: Gateway) -> Socket:
        query = f"chunks={','.join(self._chunks)}"
        if last_id := self._id_to_show():
            query += f"&last_event_id={quote(last_id)}"
        if self._dice.random() < 0.3:
            socket = Socket("websocket", self._hear_frame, self._stir, self._dice)
            gateway.serve_frames(websocket_scope("/v1/spectate/ws", query), socket)
        else:
            self._events = Events()
            socket = Socket("http", self._hear_events, self._stir, self._dice)
            is_plain = self._dice.random() < 0.7
            gateway.serve_events(_http_scope(query, socket if is_plain else None), socket)
        return socket

    def _id_to_show(self) -> str:
        lot = self._dice.random() if self._may_be_cut else 1.0
        if lot < RELOAD_RATE:
            self._last_id = ""
        is_foreign = bool(self._last_id) and lot < RELOAD_RATE + FOREIGN_RATE
        if is_foreign:
            self._last_id = FOREIGN_ID
        self.transcript.begin("foreign" if is_foreign else "last" if self._last_id else "none")
        return self._last_id

    def _stir(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # What it hears

    def _hear_frame(self, text: str) -> None:
        self._hear(*read_frame_event(text))

    def _hear_events(self, text: str) -> None:
        for id, data in self._events.read(text):
            self._hear(id, data)

    def _hear(self, id: str, data: str) -> None:
        self._cluster.ledger.told(self.name, data)
        self._cluster.ledger.count("watched")
        frame = read_shown(data) or read_frame(data)
        assert frame is not None, data
        if (fault := self._take(frame, data)) is not None:
            self._cluster.ledger.violate(f"{self.name} was told {fault}")
        self._last_id = id or self._last_id

    def _take(self, frame: SpectatorFrame, data: str) -> str | None:
        match frame:
            case SpectatorReady(resumed=resumed):
                if self._was_cut:
                    self._was_cut = False
                    self._cluster.cuts.came_back("spectator")
                if resumed != bool(self._last_id):
                    return f"resumed={resumed}"
            case Resync(chunk=chunk):
                self._cluster.ledger.count("resyncs")
                self.transcript.announce(self._chunks if chunk is None else [chunk])
            case ChunkStatic():
                return self._take_static(frame)
            case ChunkDelta(chunk=chunk, tick=tick):
                self._latest[chunk] = tick
                return self.transcript.tell(chunk, tick, data.encode())
        return None

    def _take_static(self, static: ChunkStatic) -> str | None:
        chunk = static.chunk
        self._cluster.census.check_static(self.name, static)
        if static.tick < self._latest.get(chunk, 0):
            # A gateway may be behind the one before, and the stream that would tell be lost.
            self._cluster.ledger.count("shown older")
        self._latest[chunk] = static.tick
        return self.transcript.show(chunk, static.tick)


def _http_scope(query: str, socket: Socket | None) -> HTTPScope:
    """``socket``: the client's end, if its stream may leave Hypercorn."""
    scope = cast("dict[str, Any]", websocket_scope("/v1/spectate", query))
    del scope["subprotocols"]
    scope["state"] = {STATE: socket} if socket is not None else {}
    return cast("HTTPScope", scope | {"type": "http", "method": "GET", "scheme": "http"})
