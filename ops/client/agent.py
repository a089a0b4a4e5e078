"""An agent in the world: one session, kept alive over lost connections, and what it can see.

``async with connect(url, name="ada") as agent`` signs up or comes back, and reconnects with
resume on its own. A stream that breaks its promise (a delta that does not follow, a seq out of
order) raises StreamBroken: this client is also how the tests catch a server that lies.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import httpx
import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    open_websocket_url,
)

from common import wire
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
from common.grid import AgentId, CommandId
from common.refusals import CloseCode
from common.replica import Replica
from ops.client.account import (
    Credentials,
    Ticket,
    end_session,
    open_http,
    open_session,
    refusal_of,
    sign_up,
)
from ops.client.commanding import Commanding, Failed, Pending, Rejected
from ops.client.keyring import Keyring
from ops.client.view import StreamBroken, View

CONNECT_SECONDS_MAX = 15.0  # The gateway itself gives up on a shard after 8 s.
CLOSE_SECONDS_MAX = 1.0  # A server that is gone does not answer a close.
RETRY_SECONDS_MIN = 0.1
RETRY_SECONDS_MAX = 5.0
EVENTS_MAX = 256  # Events waiting to be read; the oldest are dropped, ``view`` stays whole.
FINAL = (CloseCode.POLICY, CloseCode.REPLACED, CloseCode.SESSION_ENDED)


class SessionOver(Exception):
    """The server ended the session for good: the close code says why."""

    def __init__(self, code: int, reason: str | None) -> None:
        super().__init__(f"{code} {reason or ''}")
        self.code = code


@attrs.define(eq=False)
class Agent:
    """A live agent. Await its commands from any task of yours; each raises Rejected or Failed."""

    id: AgentId
    name: str
    position: Position | None = None
    view: Replica | None = None
    """The chunk it stands in, up to date; None before the first ``chunk_static``."""
    resumes: int = 0
    """How often a lost connection was taken up again."""
    _sight: View = attrs.field(factory=View)
    _ticket: Ticket | None = None
    _commanding: Commanding | None = None
    _socket: WebSocketConnection | None = None
    _resumable: bool = False
    _ready: trio.Event = attrs.field(factory=trio.Event)
    _events: tuple[trio.MemorySendChannel[Event], trio.MemoryReceiveChannel[Event]] = attrs.field(
        factory=lambda: trio.open_memory_channel[Event](EVENTS_MAX)
    )

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
        assert self._commanding is not None, "the agent is not connected"
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

    async def cancel(self, id: CommandId) -> None:
        await self._send(Cancel(id))

    async def next_event(self) -> Event:
        """Return the next thing that happened in the chunk; the oldest unread are dropped."""
        return await self._events[1].receive()

    async def _send(self, frame: ClientFrame) -> None:
        """Send now, or not at all: what was not acked is sent again after a reconnect."""
        if self._socket is not None:
            try:
                await self._socket.send_message(wire.encode(frame).decode())
            except ConnectionClosed:
                self._socket = None

    # The connection

    async def _serve(self, url: str, http: httpx.AsyncClient, api_key: str) -> None:
        """Keep a connection until cancelled; raises SessionOver, Refused or StreamBroken."""
        delay = RETRY_SECONDS_MIN
        while True:
            began = trio.current_time()
            try:
                await self._connect_once(url)
            except ConnectionRejected as rejected:
                refusal = refusal_of(httpx.Response(rejected.status_code, content=rejected.body))
                if refusal.code == "resume_refused":
                    self._use(await open_session(http, api_key))
                elif refusal.status < 429:
                    raise refusal from None
            except (OSError, HandshakeError, httpx.TransportError):
                pass  # The server is away or starting; its clients come back, spread by the delay.
            if trio.current_time() - began > RETRY_SECONDS_MAX:
                delay = RETRY_SECONDS_MIN
            await trio.sleep(delay * (0.5 + random.random()))  # noqa: S311  Only spreads retries.
            delay = min(2 * delay, RETRY_SECONDS_MAX)

    def _use(self, ticket: Ticket) -> None:
        """Begin a session; what was on its way in the one before is over."""
        if self._commanding is not None:
            self._commanding.abandoned()
        self._ticket, self._resumable = ticket, False
        self._commanding = Commanding(self.id, ticket.session_id, ticket.secret)

    async def _connect_once(self, url: str) -> None:
        assert self._ticket is not None
        assert self._commanding is not None
        path = self._ticket.ws_path
        if self._resumable:
            path += f"?resume={self._ticket.resume_token}&last_seq={self._commanding.last_seq}"
        headers = [(b"Authorization", f"Bearer {self._ticket.session_token}".encode())]
        async with open_websocket_url(
            _ws_url(url) + path,
            extra_headers=headers,
            connect_timeout=CONNECT_SECONDS_MAX,
            disconnect_timeout=CLOSE_SECONDS_MAX,
        ) as socket:
            try:
                await self._listen(socket)
            except ConnectionClosed as closed:
                _raise_if_final(closed)
            finally:
                self._socket = None

    async def _listen(self, socket: WebSocketConnection) -> None:
        while True:
            for frame in self._hear(_read(await socket.get_message())):
                await socket.send_message(wire.encode(frame).decode())
            if self._ready.is_set():
                self._socket = socket

    def _hear(self, frame: ServerFrame | None) -> Iterable[ClientFrame]:
        """Take note of ``frame``; return what to answer."""
        assert self._commanding is not None
        match frame:
            case SessionReady():
                return self._greeted(frame)
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
            case ChunkDelta():
                self._look(self._sight.see(frame))
                for event in frame.events:
                    self._remember(event)
            case Error() | Goodbye() | None:
                pass
        return []

    def _greeted(self, ready: SessionReady) -> list[ClientFrame]:
        assert self._ticket is not None
        assert self._commanding is not None
        self._ticket = attrs.evolve(self._ticket, resume_token=ready.resume_token)
        self.position = ready.position
        self._sight = View()
        self.resumes += ready.resumed
        self._resumable = True
        self._ready.set()
        return self._commanding.reconnected(ready.challenge)

    def _check_seq(self, seq: int | None) -> None:
        """A seq is the next one, or that of a line sent before (an id that was sent again)."""
        assert self._commanding is not None
        if seq is not None and seq > self._commanding.last_seq + 1:
            raise StreamBroken(f"seq {seq} after {self._commanding.last_seq}")

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
    url: str,
    name: str,
    *,
    keys: str | Path | None = None,
    credentials: Credentials | None = None,
    scopes: Iterable[str] | None = None,
    leave: bool = True,
) -> AsyncIterator[Agent]:
    """Be ``name`` in the world at ``url`` until the block ends.

    ``keys`` is a file that remembers API keys, so that the agent is the same one next time;
    ``credentials`` are used instead of both. ``leave``: end the session at the end, so that the
    agent leaves the world at once and not after 60 s. Raises Refused; SessionOver and
    StreamBroken cancel the block.
    """
    async with open_http(url) as http:
        who = credentials or await _credentials(http, name, keys)
        ticket = await open_session(http, who.api_key, scopes)
        agent = Agent(who.agent_id, who.name)
        agent._use(ticket)
        try:
            async with trio.open_nursery(strict_exception_groups=False) as nursery:
                nursery.start_soon(agent._serve, url, http, who.api_key)
                await agent._ready.wait()
                yield agent
                nursery.cancel_scope.cancel()
        finally:
            if leave:
                with trio.move_on_after(2, shield=True):
                    await _end_quietly(http, agent._ticket)


async def _end_quietly(http: httpx.AsyncClient, ticket: Ticket | None) -> None:
    assert ticket is not None
    try:
        await end_session(http, ticket)
    except httpx.HTTPError:
        return  # The server is gone; so is the session, 60 s from now.


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


def _read(message: str | bytes) -> ServerFrame | None:
    """None for a frame of a kind that this client does not know yet."""
    plain = wire.parse(message)
    known = isinstance(plain, dict) and plain.get("type") in _KNOWN
    return wire.structure_leniently(plain, ServerFrame) if known else None


_KNOWN = frozenset(
    (
        "session_ready",
        "chunk_static",
        "chunk_delta",
        "challenge",
        "ack",
        "result",
        "error",
        "goodbye",
    )
)


def _raise_if_final(closed: ConnectionClosed) -> None:
    if closed.reason is not None and closed.reason.code in FINAL:
        raise SessionOver(closed.reason.code, closed.reason.reason) from None


def _ws_url(url: str) -> str:
    return url.rstrip("/").replace("http", "ws", 1)
