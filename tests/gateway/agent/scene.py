"""A gateway's agent side in memory: its endpoint, a scripted shard, and clients over ASGI."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import attrs
import trio

from common import wire
from common.accounts import ALL_SCOPES, Account, ApiKey, Scope, Session
from common.adapters.clock import TrioClock
from common.adapters.memory_accounts import MemoryAccounts
from common.adapters.memory_gateway_bus import MemoryGatewayBus
from common.adapters.memory_postgres import KeptCommand, MemoryPostgres
from common.adapters.memory_redis import MemoryRedis
from common.adapters.memory_shard_bus import MemoryShardBus
from common.bus import Outgoing, PublishedDelta, Refusal
from common.challenge import Claim, sign
from common.commands import Say
from common.envelopes import (
    AckLine,
    Attach,
    Attached,
    CancelOffered,
    CommandOffered,
    Detach,
    ResultLine,
    SessionLine,
    ShowAsked,
    Shown,
    ToGateway,
    ToShard,
)
from common.errors import Unavailable
from common.events import Entered, Event, Left, Said
from common.frames import ChunkDelta, ChunkStatic, Position
from common.grid import AgentId, ChunkId, CommandId, Epoch, GatewayId, SessionId, Slot, Tick
from common.refusals import AckCode, FailReason
from common.replica import Replica, as_static, fold, replica_of
from common.settings import Settings
from common.tokens import Kind, new_token
from common.topology import Topology
from gateway.access import session_id_of
from gateway.agent.agents import Agents
from gateway.agent.outside import Outside
from gateway.courier import Courier
from gateway.stream.feeds import Feeds
from gateway.switchboard import Switchboard
from gateway.topology import Routes

HERE = ChunkId("0:0")
THERE = ChunkId("1:0")
SECRET = bytes(range(32))
SCENE_SECONDS_MAX = 1_000  # Of the turned clock: a test that waits for nothing fails at once.
MOVE: Mapping[str, Any] = {"name": "move_to", "x": 3, "y": 4}
SAY: Mapping[str, Any] = {"name": "say", "text": "hello"}


@attrs.define
class Sat:
    """One session as the shard knows it."""

    chunk: ChunkId = HERE
    seq: int = 0
    in_flight: CommandId | None = None
    admitted: dict[CommandId, AckLine] = attrs.field(factory=dict)


@attrs.define(eq=False)
class Shard:
    """Accepts every command and finishes none by itself, but ``say``.

    ``deaf``: messages are lost, as with the data of Redis. ``slow``: they wait in ``kept``.
    ``mute``: what is said reaches Redis, but no gateway. ``refuse``: the code for the commands to
    come.
    """

    redis: MemoryRedis
    postgres: MemoryPostgres
    sat: dict[SessionId, Sat] = attrs.field(factory=dict)
    heard: list[ToShard] = attrs.field(factory=list)
    deaf: bool = False
    mute: bool = False
    slow: bool = False
    kept: list[tuple[ToShard, str]] = attrs.field(factory=list)
    refuse: AckCode | None = None
    tick: int = 0
    chunks: dict[ChunkId, Replica] = attrs.field(factory=dict)

    async def run(self) -> None:
        after = "0"
        while True:
            try:
                for received in await self._bus.receive(Slot(0), after, 100, 1_000):
                    after = received.position
                    assert received.message is not None
                    await self.hear(received.message, received.position)
            except Unavailable:
                await trio.sleep(0.1)

    @property
    def _bus(self) -> MemoryShardBus:
        return MemoryShardBus(self.redis)

    def of(self, kind: type[ToShard]) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]

    async def hear(self, message: ToShard, position: str = "0") -> None:
        self.heard.append(message)
        if self.deaf:
            self._lose(message)
            return
        if self.slow:
            self.kept.append((message, position))
            return
        match message:
            case ShowAsked():
                static = wire.encode(as_static(self.replica(message.chunk))).decode()
                await self._reply(message.gateway, Shown(message.chunk, static))
            case Attach():
                await self._attach(message)
            case CommandOffered():
                await self._admit(message, position)
            case CancelOffered():
                if self.sat[message.session].in_flight == message.id:
                    await self.finish(message.session, message.reason)
            case Detach():
                sat = self.sat.get(message.session)
                if sat is not None and sat.in_flight is not None:
                    await self.finish(message.session, "session_ended")
                self.sat.pop(message.session, None)
            case _:
                raise AssertionError(f"no gateway says {message}")

    async def hear_kept(self) -> None:
        self.slow = False
        while self.kept:
            await self.hear(*self.kept.pop(0))

    def _lose(self, message: ToShard) -> None:
        if isinstance(message, CommandOffered) and message.session in self.redis.bindings:
            self.redis.bindings[message.session].offers.pop(message.id, None)

    async def _attach(self, message: Attach) -> None:
        sat = self.sat.setdefault(message.session, Sat())
        if message.agent not in self.replica(sat.chunk).entities:
            await self.say(Entered(message.agent, "agent", 1, 2, message.name), chunk=sat.chunk)
        attached = Attached(
            message.session, message.agent, sat.chunk, Position(1, 2), sat.seq, sat.in_flight
        )
        await self._reply(message.gateway, attached)

    async def _admit(self, message: CommandOffered, position: str) -> None:
        sat = self.sat[message.session]
        line = sat.admitted.get(message.id)
        if line is None and self.refuse is not None:
            refusal = AckLine(
                message.session, message.id, code=self.refuse, expires_at_ms=message.expires_at_ms
            )
            await self._publish(Outgoing(refusals=[Refusal(position, refusal)]))
            return
        if line is None:
            self.tick += 1
            sat.seq += 1
            line = AckLine(message.session, message.id, sat.seq, Tick(self.tick))
            sat.admitted[message.id] = line
            self.postgres.commands[message.session, message.id] = KeptCommand(line)
            if not isinstance(message.command, Say):
                sat.in_flight = message.id
        await self.publish(line)
        if isinstance(message.command, Say):
            await self.say(Said(message.agent, message.command.text), chunk=sat.chunk)
            await self._end(message.session, message.id)

    async def finish(self, session: SessionId, reason: FailReason | None = None) -> None:
        """End what is in flight."""
        sat = self.sat[session]
        assert sat.in_flight is not None
        id, sat.in_flight = sat.in_flight, None
        await self._end(session, id, reason)

    async def _end(
        self, session: SessionId, id: CommandId, reason: FailReason | None = None
    ) -> None:
        sat = self.sat[session]
        self.tick += 1
        sat.seq += 1
        line = ResultLine(session, id, sat.seq, Tick(self.tick), sat.chunk, Position(3, 4), reason)
        self.postgres.commands[session, id].result = line
        await self.publish(line)

    async def publish(self, *lines: SessionLine) -> None:
        await self._publish(Outgoing(lines=() if self.mute else lines))
        for line in lines if self.mute else ():
            if line.seq is not None:
                self.redis.lines.setdefault(line.session, []).append(line)

    async def _publish(self, outgoing: Outgoing) -> None:
        self.redis.leases[Slot(0)] = ("scripted", math.inf)
        await MemoryShardBus(self.redis).publish(Slot(0), "scripted", outgoing)

    async def _reply(self, gateway: GatewayId, message: ToGateway) -> None:
        await self._publish(Outgoing(replies=[(gateway, message)]))

    async def say(self, *events: Event, chunk: ChunkId = HERE) -> None:
        """Publish a delta."""
        replica = self.replica(chunk)
        self.tick = max(self.tick, replica.tick) + 1
        frame = ChunkDelta(chunk, Tick(self.tick), replica.tick, list(events))
        self.chunks[chunk] = fold(replica, frame)
        published = PublishedDelta(chunk, Epoch(1), frame.tick, frame.prev_tick, wire.encode(frame))
        await self._publish(Outgoing(deltas=[published]))

    def replica(self, chunk: ChunkId) -> Replica:
        static = ChunkStatic(chunk, 1, Tick(0), 2, ["..", ".#"], [])
        return self.chunks.setdefault(chunk, replica_of(static))

    async def cross(self, session: SessionId, agent: AgentId, to: ChunkId = THERE) -> None:
        """Take ``agent`` over the border: there it enters first, then it leaves here."""
        origin, self.sat[session].chunk = self.sat[session].chunk, to
        await self.say(Entered(agent, "agent", 50, 2, from_=origin), chunk=to)
        await self.say(Left(agent, "moved", to), chunk=origin)


@attrs.frozen
class Ticket:
    """A session, with its secrets."""

    session: SessionId
    agent: AgentId
    token: str
    resume: str


class Refused(Exception):
    """The upgrade was refused."""

    def __init__(self, status: int, problem: dict[str, Any], headers: dict[str, str]) -> None:
        super().__init__(f"{status} {problem}")
        self.status, self.problem, self.headers = status, problem, headers


class Closed(Exception):
    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


@attrs.define(eq=False)
class Client:
    """The other end of one ASGI WebSocket. It stops reading while ``reads`` is not set."""

    ticket: Ticket
    subprotocol: str | None = None
    reads: trio.Event = attrs.field(factory=trio.Event)
    closed: int | None = None
    done: trio.Event = attrs.field(factory=trio.Event)
    closes: bool = True
    """Whether it answers a close with its own, as it should."""
    seen: list[dict[str, Any]] = attrs.field(factory=list)
    _to_server: Any = attrs.field(factory=lambda: trio.open_memory_channel(10))
    _to_client: Any = attrs.field(factory=lambda: trio.open_memory_channel(100_000))

    def __attrs_post_init__(self) -> None:
        self.reads.set()

    # What the server calls

    async def receive(self) -> Any:
        return await self._to_server[1].receive()

    async def send(self, message: Any) -> None:
        await trio.lowlevel.checkpoint()
        await self.reads.wait()
        self._to_client[0].send_nowait(message)
        if message["type"] == "websocket.close" and self.closes:
            self.go(1000)

    # What a test calls

    async def next(self) -> dict[str, Any]:
        """The next frame; Closed when the server closes or is done."""
        try:
            return self._read(await self._to_client[1].receive())
        except trio.EndOfChannel:
            raise Closed(self.closed) from None

    def _read(self, message: dict[str, Any]) -> dict[str, Any]:
        if message["type"] == "websocket.close":
            self.closed = message["code"]
            raise Closed(self.closed)
        assert message["type"] == "websocket.send", message
        frame: dict[str, Any] = json.loads(message["text"])
        self.seen.append(frame)
        return frame

    async def until(self, kind: str) -> dict[str, Any]:
        """Read on until a frame of the type ``kind``, and return it."""
        while (frame := await self.next())["type"] != kind:
            pass
        return frame

    async def end(self) -> tuple[dict[str, Any], int | None]:
        """Read to the end; return the last frame, and the close code."""
        while True:
            try:
                await self.next()
            except Closed as closed:
                return self.seen[-1], closed.code

    async def say(self, **frame: Any) -> None:
        await self.say_text(json.dumps(frame))

    async def say_text(self, text: str | None, binary: bytes | None = None) -> None:
        message = {"type": "websocket.receive", "text": text, "bytes": binary}
        await self._to_server[0].send(message)

    def go(self, code: int = 1006) -> None:
        self._to_server[0].send_nowait({"type": "websocket.disconnect", "code": code})

    async def gone(self) -> None:
        """Lose the connection, and wait until the server has noticed."""
        self.go()
        self.reads.set()
        await self.done.wait()

    def sign(self, id: str, command: Mapping[str, Any], challenge: Mapping[str, str]) -> str:
        claim = Claim(
            self.ticket.agent, self.ticket.session, CommandId(id), command,
            challenge["nonce"], challenge["expires_at"],
        )  # fmt: skip
        return sign(SECRET, claim)

    async def command(self, id: str, command: Mapping[str, Any] = MOVE) -> dict[str, Any]:
        """Two steps, and the ack."""
        await self.offer(id, command)
        return await self.until("ack")

    async def offer(self, id: str, command: Mapping[str, Any] = MOVE) -> None:
        await self.say(type="command_req", id=id, command=command)
        challenge = await self.until("challenge")
        signature = self.sign(id, command, challenge)
        await self.say(type="answer", id=id, nonce=challenge["nonce"], signature=signature)


@attrs.define(eq=False)
class Scene:
    redis: MemoryRedis
    postgres: MemoryPostgres
    shard: Shard
    clock: TrioClock
    nursery: trio.Nursery
    agents: Agents
    outside: Outside
    settings: Settings

    @property
    def accounts(self) -> MemoryAccounts:
        return MemoryAccounts(self.postgres)

    async def gateway(self, name: str) -> Scene:
        """Another gateway of the same world."""
        return await open_gateway(
            self.redis, self.postgres, self.shard, self.clock, self.nursery, name, self.settings
        )

    async def ticket(
        self, name: str = "ada", scopes: frozenset[Scope] = ALL_SCOPES, seconds: float = 86_400
    ) -> Ticket:
        """Sign up, if ``name`` is new, and open a session, as the HTTP calls do."""
        agent, now = AgentId(f"agt_{name}"), self.clock.now()
        key = ApiKey(f"key_{name}", agent, b"", "", ALL_SCOPES, now)
        if agent not in self.postgres.agents:
            await self.accounts.create(Account(agent, name, now, HERE, None, None), key)
        token, resume = new_token(Kind.SESSION), new_token(Kind.RESUME)
        session = Session(
            session_id_of(token), agent, key.key_id, token.hash, SECRET, scopes, now,
            now + timedelta(seconds=seconds), (resume.hash,),
        )  # fmt: skip
        for ended in await self.accounts.open_session(session):
            await MemoryGatewayBus(self.redis).end(ended, replaced=True)
        return Ticket(session.session, agent, token.text, resume.text)

    def knock(
        self,
        ticket: Ticket,
        query: str = "",
        subprotocols: tuple[str, ...] = (),
        authorization: str | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> Client:
        """Ask for the WebSocket; the client reads what comes of it."""
        client = Client(ticket)
        header = f"Bearer {ticket.token}" if authorization is None else authorization
        scope: Any = {
            "type": "websocket",
            "path": "/v1/agent",
            "query_string": query.encode(),
            "headers": [*headers, *([(b"authorization", header.encode())] if header else [])],
            "subprotocols": list(subprotocols),
            "state": {},
        }

        async def serve() -> None:
            client._to_server[0].send_nowait({"type": "websocket.connect"})
            try:
                await self.agents(scope, client.receive, client.send)
            finally:
                client._to_client[0].close()
                client.done.set()

        self.nursery.start_soon(serve)
        return client

    async def try_to_connect(self, ticket: Ticket, query: str = "", **more: Any) -> Client:
        """As ``connect``, without reading the ``session_ready``. Raises Refused."""
        client = self.knock(ticket, query, **more)
        message = await client._to_client[1].receive()
        if message["type"] == "websocket.accept":
            client.subprotocol = message["subprotocol"]
            return client
        assert message["type"] == "websocket.http.response.start"
        headers = {name.decode(): value.decode() for name, value in message["headers"]}
        body = await client._to_client[1].receive()
        await client.done.wait()
        raise Refused(message["status"], json.loads(body["body"]), headers)

    async def connect(self, ticket: Ticket, query: str = "", **more: Any) -> Client:
        client = await self.try_to_connect(ticket, query, **more)
        ready = await client.next()
        assert ready["type"] == "session_ready"
        return client

    async def resume(self, ticket: Ticket, token: str, last_seq: object) -> Client:
        return await self.connect(ticket, f"resume={token}&last_seq={last_seq}")

    async def refused(self, ticket: Ticket, query: str = "", **more: Any) -> Refused:
        try:
            await self.try_to_connect(ticket, query, **more)
        except Refused as refused:
            return refused
        raise AssertionError("it was let in")


@asynccontextmanager
async def a_scene(**settings: Any) -> AsyncIterator[Scene]:
    clock = TrioClock()
    redis, postgres = MemoryRedis(), MemoryPostgres(clock.now_ms)
    shard = Shard(redis, postgres)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shard.run)
        with trio.fail_after(SCENE_SECONDS_MAX):
            yield await open_gateway(
                redis, postgres, shard, clock, nursery, "gateway-1", Settings(**settings)
            )
        nursery.cancel_scope.cancel()


async def open_gateway(
    redis: MemoryRedis,
    postgres: MemoryPostgres,
    shard: Shard,
    clock: TrioClock,
    nursery: trio.Nursery,
    name: str,
    settings: Settings,
) -> Scene:
    gateway, bus = GatewayId(name), MemoryGatewayBus(redis)
    courier, routes = Courier(bus), Routes(Topology(1, 1))
    feeds = Feeds(bus, courier, routes, gateway)
    switchboard = Switchboard(bus, gateway, feeds)
    await nursery.start(courier.run)
    await nursery.start(feeds.run)
    await nursery.start(switchboard.run)
    outside = Outside(
        bus, MemoryAccounts(postgres), clock, courier, switchboard, feeds, routes, settings,
        gateway, trio.Event(),
    )  # fmt: skip
    agents = Agents(outside)
    nursery.start_soon(agents.run)
    return Scene(redis, postgres, shard, clock, nursery, agents, outside, settings)
