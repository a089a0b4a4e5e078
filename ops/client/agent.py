"""An agent in the world: what it can do, and what it sees.

``async with connect(url, name="ada") as agent`` signs up or comes back, and survives lost
connections. A stream that breaks its promise (a delta that does not follow, a seq left out) raises
StreamBroken: this client is also how the tests catch a server that lies.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import httpx
import trio

from common.accounts import Scope
from common.adapters.beside import beside
from common.commands import Command, MoveTo, Say, Wait
from common.events import Event
from common.frames import (
    Ack,
    Cancel,
    Challenge,
    ChunkDelta,
    ChunkStatic,
    ClientFrame,
    Error,
    Goodbye,
    Position,
    Result,
    ServerFrame,
    SessionReady,
)
from common.grid import AgentId
from common.replica import Replica
from ops.client.account import (
    Credentials,
    Ticket,
    end_session,
    open_http,
    open_session,
    sign_up,
)
from ops.client.commanding import Commanding, Failed, Pending, Rejected
from ops.client.keyring import Keyring
from ops.client.link import Link, Tap
from ops.client.view import StreamBroken, View

NOWHERE = Position(0, 0)  # Until session_ready says otherwise.
EVENTS_MAX = 256  # Events waiting to be read; the oldest are dropped, ``view`` stays whole.


@attrs.define(eq=False)
class Agent:
    """A live agent. Await its commands from any task of yours; each raises Rejected or Failed."""

    id: AgentId
    name: str
    position: Position = NOWHERE
    view: Replica | None = None
    """The chunk it stands in, up to date; None without the scope ``observe``."""
    resumes: int = 0
    """How often a lost connection was taken up again."""
    _sight: View = attrs.field(factory=View)
    _link: Link | None = None
    _commanding: Commanding | None = None
    _ready: trio.Event = attrs.field(factory=trio.Event)
    _events: tuple[trio.MemorySendChannel[Event], trio.MemoryReceiveChannel[Event]] = attrs.field(
        factory=lambda: trio.open_memory_channel[Event](EVENTS_MAX)
    )

    @property
    def url(self) -> str:
        """The gateway that it is connected to, or tries."""
        assert self._link is not None
        return self._link.url

    async def move_to(self, x: int, y: int) -> Result:
        """Walk to (x, y) and return once there."""
        return await self.do(MoveTo(x, y))

    async def say(self, text: str) -> Result:
        """Say ``text`` to everybody in the chunk."""
        return await self.do(Say(text))

    async def wait(self, ticks: int) -> Result:
        """Stand still for ``ticks`` ticks."""
        return await self.do(Wait(ticks))

    async def do(self, command: Command) -> Result:
        """Carry out ``command``; cancelling this call cancels the command too."""
        assert self._commanding is not None
        changed = [trio.Event()]
        pending, frame = self._commanding.begin(command, lambda: changed[0].set())
        await self._send(frame)
        try:
            while (result := _outcome(pending)) is None:
                await changed[0].wait()
                changed[0] = trio.Event()
        finally:
            self._commanding.forget(pending.id)
            if pending.result is None and (pending.ack is None or pending.ack.code is None):
                with trio.move_on_after(1, shield=True):
                    await self._send(Cancel(pending.id))
        return result

    def drop(self) -> None:
        """Lose the connection, as in a bad network; it is resumed at the next gateway."""
        assert self._link is not None
        self._link.drop()

    async def next_event(self) -> Event:
        """Return the next thing that happened in the chunk; the oldest unread are dropped."""
        return await self._events[1].receive()

    async def _send(self, frame: ClientFrame) -> None:
        assert self._link is not None
        await self._link.send(frame)

    def _begin(self, ticket: Ticket) -> None:
        """Begin a session; what was on its way in the one before is over."""
        if self._commanding is not None:
            self._commanding.abandoned()
        self._commanding = Commanding(self.id, ticket.session_id, ticket.secret)

    def _last_seq(self) -> int:
        return self._commanding.last_seq if self._commanding is not None else 0

    def _hear(self, frame: ServerFrame) -> Iterable[ClientFrame]:
        """Take note of ``frame``; return what to answer."""
        assert self._commanding is not None
        match frame:
            case SessionReady():
                return self._greeted(frame, self._commanding)
            case Challenge():
                answer = self._commanding.challenged(frame)
                return [answer] if answer else []
            case Ack():
                self._check_seq(frame.seq)
                repeat = self._commanding.acked(frame)
                return [repeat] if repeat else []
            case Result():
                self._check_seq(frame.seq)
                self.position = frame.position
                self._commanding.ended(frame)
            case ChunkStatic():
                self._sight = View()
                self._look(self._sight.see(frame))
                self._ready.set()
            case ChunkDelta():
                self._look(self._sight.see(frame))
                for event in frame.events:
                    self._remember(event)
            case Error() | Goodbye():
                pass
        return []

    def _greeted(self, ready: SessionReady, commanding: Commanding) -> list[ClientFrame]:
        self.position = ready.position
        self._sight = View()
        self.resumes += ready.resumed
        if not self._observes():
            self._ready.set()
        return commanding.reconnected(ready.challenge)

    def _observes(self) -> bool:
        return self._link is not None and Scope.OBSERVE in self._link.ticket.scopes

    def _check_seq(self, seq: int | None) -> None:
        """A seq is the next one, or that of a line sent before (an id that was sent again)."""
        if seq is not None and seq > self._last_seq() + 1:
            raise StreamBroken(f"seq {seq} after {self._last_seq()}")

    def _look(self, view: Replica) -> None:
        self.view = view
        if (me := view.entities.get(self.id)) is not None:
            self.position = Position(me.x, me.y)

    def _remember(self, event: Event) -> None:
        sending, receiving = self._events
        try:
            sending.send_nowait(event)
        except trio.WouldBlock:
            receiving.receive_nowait()
            sending.send_nowait(event)


@asynccontextmanager
async def connect(
    url: str | Sequence[str],
    name: str,
    *,
    keys: str | Path | None = None,
    credentials: Credentials | None = None,
    scopes: Iterable[str] | None = None,
    leave: bool = True,
    tap: Tap | None = None,
) -> AsyncIterator[Agent]:
    """Be ``name`` in the world at ``url`` until the block ends; of several gateways each in turn.

    ``keys`` is a file that remembers API keys, so that the agent is the same one next time;
    ``credentials`` are used instead of both. ``leave``: end the session at the end, so that the
    agent leaves the world at once and not after 60 s. Raises Refused; SessionOver and
    StreamBroken cancel the block.
    """
    urls = [url] if isinstance(url, str) else url
    async with open_http(urls[0]) as http:
        who = credentials or await _credentials(http, name, keys)
        ticket = await open_session(http, who.api_key, scopes)
        agent = Agent(who.agent_id, who.name)
        link = Link(
            urls, http, who.api_key, agent._hear, agent._begin, agent._last_seq, ticket, tap
        )
        agent._link = link
        try:
            async with beside(link.keep):
                await agent._ready.wait()
                yield agent
        finally:
            if leave:
                with trio.move_on_after(2, shield=True):
                    await _end_quietly(http, link.ticket)


async def _end_quietly(http: httpx.AsyncClient, ticket: Ticket) -> None:
    try:
        await end_session(http, ticket)
    except httpx.HTTPError:
        return  # The server is gone; the session ends by itself, 60 s from now.


async def _credentials(http: httpx.AsyncClient, name: str, keys: str | Path | None) -> Credentials:
    if keys is None:
        return await sign_up(http, name)
    keyring = Keyring(Path(keys))
    known = keyring.find(name)
    if known is None:
        known = await sign_up(http, name)
        keyring.keep(known)
    return known


def _outcome(pending: Pending) -> Result | None:
    """The result once there is one; raises what the ack or the result say went wrong."""
    if pending.ack is not None and pending.ack.code is not None:
        raise Rejected(pending.ack.code, pending.ack.retry_after_ms)
    if pending.lost:
        raise Failed("session_ended")
    if pending.result is not None and pending.result.reason is not None:
        raise Failed(pending.result.reason)
    return pending.result
