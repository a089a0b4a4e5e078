"""A scripted agent: it walks, talks, waits, changes its mind, and comes back when it is cut off.

Its half of the exchange is the reference client's. What it is told goes to the books and to a
view, which judge it; it believes nobody.
"""

from __future__ import annotations

import math
import random
from urllib.parse import quote

import attrs
import trio
from hypercorn.typing import WebsocketScope

from common import wire
from common.commands import Command, Say, Wait
from common.errors import Trouble
from common.frames import (
    Ack,
    Answer,
    Cancel,
    Challenge,
    ChunkDelta,
    ChunkStatic,
    ClientFrame,
    CommandRequest,
    Position,
    Result,
    ServerFrame,
    SessionReady,
)
from common.grid import AgentId, ChunkId
from common.limits import SPAWN_CHUNK
from ops.client.commanding import Commanding, Pending
from ops.simulate.cluster import Cluster
from ops.simulate.front_desk import SECRET, FrontDesk, Ticket
from ops.simulate.goals import Goals
from ops.simulate.plan import Fault
from ops.simulate.reading import read_shown
from ops.simulate.sight import Sight
from ops.simulate.socket import Socket

OPENING_SECONDS_MAX = 15.0  # A gateway has ADMISSION_SECONDS_MAX; then the client tries another.
PATIENCE_SECONDS = 40.0  # A command that takes longer is left alone, and the next one begun.
THINK_SECONDS_MIN = 8.0
THINK_SECONDS_EACH = 0.4
HURRY_SECONDS = 1.5  # Where connections are what is tried: so much happens while they are cut.
CUT_RATE = 0.08  # Of the times that it decides what to do next.
TURN_BACK_RATE = 0.7  # Of the walks over a border: back at once.
RESTLESS_RATE = 0.2  # Of its connections: given up before long, for another session.
RESTLESS_SECONDS = 1.0  # Less than a call may be late.


@attrs.define(eq=False)
class Player:
    _cluster: Cluster
    _desk: FrontDesk
    id: AgentId
    _dice: random.Random
    is_done: bool = attrs.field(default=False, init=False)
    """Begins no more commands; ``is_settled`` once those it began have ended."""
    _ticket: Ticket | None = attrs.field(default=None, init=False)
    _socket: Socket | None = attrs.field(default=None, init=False)
    _commanding: Commanding | None = attrs.field(default=None, init=False)
    _begun: list[Pending] = attrs.field(factory=list, init=False)
    _sight: Sight = attrs.field(init=False)
    _goals: Goals = attrs.field(init=False)
    _position: Position = attrs.field(default=Position(0, 0), init=False)
    _came_from: ChunkId | None = attrs.field(default=None, init=False)
    """The chunk that it left for the one it sees, since its last command."""
    _may_resume: bool = attrs.field(default=False, init=False)
    _was_cut: bool = attrs.field(default=False, init=False)
    _said: int = attrs.field(default=0, init=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self._sight = Sight(self.id, self._cluster.ledger, self._cluster.census)
        self._goals = Goals(self._cluster, self._dice)

    @property
    def is_settled(self) -> bool:
        return self.is_online and all(not _is_open(pending) for pending in self._begun)

    @property
    def waits_for(self) -> list[str]:
        if not self.is_online:
            return ["a connection"]
        return [pending.id for pending in self._begun if _is_open(pending)]

    @property
    def is_online(self) -> bool:
        return self._socket is not None and self._socket.state == "open"

    @property
    def _think_seconds(self) -> float:
        """Longer among many, so that what happens in a second stays about the same."""
        if self._cluster.plan.reconnects:
            return HURRY_SECONDS
        return max(THINK_SECONDS_MIN, THINK_SECONDS_EACH * self._cluster.plan.agents)

    @property
    def session(self) -> str:
        return self._ticket.session if self._ticket else ""

    async def live(self) -> None:
        """Until cancelled."""
        await trio.sleep(self._dice.uniform(0, 5))
        while True:
            try:
                if self._ticket is None:
                    await self._begin()
                if await self._connect():
                    await self._play()
            except Trouble:
                pass
            await trio.sleep(self._dice.uniform(0.05, 1.5))

    # Connections

    async def _begin(self) -> None:
        self._ticket = await self._desk.open_session(self.id)
        if self._commanding is not None:
            self._commanding.abandoned()
        self._commanding = Commanding(
            self.id, self._ticket.session, SECRET, self._cluster.clock.now
        )
        self._begun = []
        self._may_resume = False
        self._cluster.ledger.event(f"{self.id} begins {self._ticket.session}")

    async def _connect(self) -> bool:
        gateways = self._cluster.gateways()
        if not gateways:
            return False
        gateway = self._dice.choice(gateways)
        socket = self._socket = Socket("websocket", self._hear, self._stir, self._dice)
        gateway.serve_agent(self._knock(), socket)
        self._cluster.cuts.threaten(socket, self._dice)
        if self._is_restless():
            await trio.sleep(self._dice.uniform(0, RESTLESS_SECONDS))
            socket.leave()
            self._ticket = None
            return False
        with trio.move_on_after(OPENING_SECONDS_MAX):
            while socket.state == "opening":
                await self._changed.wait()
        if socket.state == "opening":
            socket.leave()
        if socket.state == "refused" and socket.status in (401, 409):
            self._ticket = None
        self._was_cut = self._was_cut or socket.is_cut
        return socket.state == "open"

    def _knock(self) -> WebsocketScope:
        assert self._ticket is not None
        assert self._commanding is not None
        query = ""
        if self._may_resume:
            query = f"resume={quote(self._ticket.resume)}&last_seq={self._commanding.last_seq}"
        return websocket_scope("/v1/agent", query, f"Bearer {self._ticket.token}")

    def _stir(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # What it does

    async def _play(self) -> None:
        socket = self._socket
        assert socket is not None
        while socket.state == "open":
            await self._rest(socket, self._dice.expovariate(1 / self._think_seconds))
            if self.is_done:
                await self._rest(socket, math.inf)
            elif self._is_cut():
                await self._lose(socket)
            elif socket.state == "open":
                await self._act(socket)
        if socket.code in (4001, 4003):
            self._ticket = None
        self._was_cut = socket.is_cut

    async def _rest(self, socket: Socket, seconds: float) -> None:
        with trio.move_on_after(seconds):
            while socket.state == "open" and (seconds < math.inf or self.is_done):
                await self._changed.wait()

    def _is_cut(self) -> bool:
        return Fault.CUTS in self._cluster.plan.faults and self._dice.random() < CUT_RATE

    def _is_restless(self) -> bool:
        plan = self._cluster.plan  # Where reconnects are what is tried, its sessions last.
        may_be = Fault.CUTS in plan.faults and not (self.is_done or plan.reconnects)
        return may_be and self._dice.random() < RESTLESS_RATE

    async def _lose(self, socket: Socket) -> None:
        """Lose the connection, or be slow for a while; what was under way to us is lost first."""
        kind = self._dice.randrange(4)
        self._cluster.ledger.event(f"{self.id} loses its connection ({kind})")
        if kind == 0:
            socket.slow_until = trio.current_time() + self._dice.uniform(1, 15)
            return
        if kind == 1:
            socket.is_deaf = True
            await self._rest(socket, self._dice.uniform(0.1, 8))
        socket.leave()
        if kind == 3 and self._dice.random() < 0.4:
            self._ticket = None  # It begins a new session, which ends this one.
        if kind == 2 and self._dice.random() < 0.3:
            await trio.sleep(self._dice.uniform(5, 75))  # Perhaps too long to resume.

    async def _act(self, socket: Socket) -> None:
        assert self._commanding is not None
        self._came_from = None
        commanding, doing = self._commanding, self._begin_command(socket)
        if self._dice.random() < 0.15:
            await self._rest(socket, self._dice.uniform(0, 3))
            self._send(socket, Cancel(doing.id))
        elif self._dice.random() < 0.15:
            self._begin_command(socket, Say(self._sentence()))
        await self._wait_end(socket, doing)
        while (chunk := self._way_back(socket)) is not None:
            self._cluster.ledger.count("turned back")
            self._came_from = None
            doing = self._begin_command(socket, self._goals.just_in(chunk, self._position))
            await self._wait_end(socket, doing)
        if doing.ack is not None and socket.state == "open" and self._dice.random() < 0.1:
            # An id that is sent again is answered as before, and done once.
            self._send(socket, commanding._request(doing))

    def _way_back(self, socket: Socket) -> ChunkId | None:
        """Return the chunk that it has just come from, if it goes back there at once."""
        may_go = socket.state == "open" and not self.is_done
        return self._came_from if may_go and self._dice.random() < TURN_BACK_RATE else None

    async def _wait_end(self, socket: Socket, doing: Pending) -> None:
        with trio.move_on_after(PATIENCE_SECONDS):
            while _is_open(doing) and socket.state == "open":
                await self._changed.wait()

    def _begin_command(self, socket: Socket, command: Command | None = None) -> Pending:
        assert self._commanding is not None
        pending, frame = self._commanding.begin(command or self._choose(), self._stir)
        self._begun = [one for one in self._begun if _is_open(one)] + [pending]
        self._send(socket, frame)
        return pending

    def _choose(self) -> Command:
        match self._dice.randrange(8):
            case 0 | 1:
                return Say(self._sentence())
            case 2:
                return Wait(self._dice.randrange(1, 15))
            case _:
                return self._goals.next(self._sight.chunk or ChunkId(SPAWN_CHUNK), self._position)

    def _sentence(self) -> str:
        self._said += 1
        return f"{self.id} {self._said}"

    def _send(self, socket: Socket, frame: ClientFrame) -> None:
        is_said = socket.state == "open" and not socket.is_deaf
        if is_said and isinstance(frame, CommandRequest | Answer) and self._ticket is not None:
            self._cluster.books.send(self._ticket.session, frame)
        socket.say(wire.encode(frame).decode())

    # What it hears

    def _hear(self, text: str) -> None:
        frame = read_frame(text)
        if not isinstance(frame, SessionReady):  # Its resume token is nobody's business.
            self._cluster.ledger.told(self.id, text)
        self._cluster.ledger.count("frames")
        self._take(frame)

    def _take(self, frame: ServerFrame) -> None:
        commanding, socket, ticket = self._commanding, self._socket, self._ticket
        assert commanding is not None
        assert socket is not None
        assert ticket is not None
        match frame:
            case ChunkDelta() | ChunkStatic():  # Mostly.
                before = self._sight.chunk
                self._sight.see(frame)
                if before not in (None, self._sight.chunk):
                    self._came_from = before
            case SessionReady():
                self._greeted(frame, commanding, socket)
            case Challenge():
                if answer := commanding.challenged(frame):
                    self._send(socket, answer)
            case Ack():
                if again := commanding.acked(frame):
                    self._send(socket, again)
                else:
                    self._cluster.books.hear(ticket.session, frame)
            case Result():
                self._cluster.books.hear(ticket.session, frame)
                self._position = frame.position
                commanding.ended(frame)
            case _:
                pass

    def _greeted(self, ready: SessionReady, commanding: Commanding, socket: Socket) -> None:
        ticket = self._ticket
        assert ticket is not None
        self._cluster.ledger.event(f"{self.id} is let in, resumed={ready.resumed}")
        if ready.resumed != self._may_resume:
            self._cluster.ledger.violate(f"{self.id}: resumed={ready.resumed}")
        if self._was_cut:
            self._was_cut = False
            self._cluster.cuts.came_back("agent")
        self._cluster.books.begin(ticket.session)
        self._position = ready.position
        self._ticket = attrs.evolve(ticket, resume=ready.resume_token)
        self._may_resume = True
        self._sight.close()
        for frame in commanding.reconnected(ready.challenge):
            self._send(socket, frame)


def _is_open(pending: Pending) -> bool:
    """Whether something is still to be heard of it."""
    is_refused = pending.ack is not None and pending.ack.code is not None
    return not (is_refused or pending.lost or pending.result is not None)


def read_frame(text: str) -> ServerFrame:
    return read_shown(text) or wire.structure_leniently(wire.parse(text), ServerFrame)


def websocket_scope(path: str, query: str, authorization: str = "") -> WebsocketScope:
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"authorization", authorization.encode())] if authorization else [],
        "client": ("127.0.0.1", 1),
        "server": None,
        "subprotocols": [],
        "extensions": {},
        "state": {},  # type: ignore[typeddict-item]  # A ConnectionState in its types.
    }
