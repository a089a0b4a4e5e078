"""A town: shard processes over one memory Redis and PostgreSQL, and a gateway that only listens.

Shards run as in production, from ``shard.serve``; what is lost with a process is lost here when
it is killed: its scope is cancelled, and nobody may clean up behind it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import attrs
import trio

from common import wire
from common.accounts import ALL_SCOPES, Account, ApiKey, Session
from common.adapters.clock import TrioClock
from common.adapters.memory_accounts import MemoryAccounts
from common.adapters.memory_gateway_bus import MemoryGatewayBus
from common.adapters.memory_journal import MemoryJournal
from common.adapters.memory_leases import MemoryLeases
from common.adapters.memory_postgres import MemoryPostgres
from common.adapters.memory_redis import MemoryRedis
from common.adapters.memory_shard_bus import MemoryShardBus
from common.bus import Delta, Offer, Restored
from common.commands import Command, MoveTo
from common.envelopes import (
    AckLine,
    Attach,
    Attached,
    CommandOffered,
    ResultLine,
    ShowAsked,
    Shown,
    ToGateway,
    ToShard,
)
from common.events import Entered, Left
from common.frames import ChunkDelta, ChunkStatic, Position
from common.grid import AgentId, ChunkId, CommandId, GatewayId, SessionId, Slot, Tick, slot_of
from common.limits import COLLECT_SECONDS, COMMAND_MS_MAX
from shard.outside import Outside
from shard.serve import serve
from shard.world.codec import decode_chunk
from shard.world.terrain import terrain_of

GATEWAY = GatewayId("gw_1")
AREA = [ChunkId(f"{cx}:{cy}") for cx in range(-3, 4) for cy in range(-3, 4)]


class RecordingRedis(MemoryRedis):
    """Remembers every delta that was published, also when nobody can hear it."""

    def __init__(self) -> None:
        super().__init__()
        self.published: dict[ChunkId, list[ChunkDelta]] = {}

    def announce(self, delta: Delta) -> None:
        self.published.setdefault(delta.chunk, []).append(wire.decode(delta.data, ChunkDelta))
        super().announce(delta)


@attrs.define(eq=False)
class Process:
    name: str
    stop: trio.Event
    drain: trio.Event
    scope: trio.CancelScope
    ended: trio.Event


@attrs.define(eq=False)
class Town:
    nursery: trio.Nursery
    redis: RecordingRedis
    postgres: MemoryPostgres
    gateway: MemoryGatewayBus
    clock: TrioClock = attrs.field(factory=TrioClock)
    collect_seconds: float = COLLECT_SECONDS
    heard: list[ToGateway] = attrs.field(factory=list)
    processes: dict[str, Process] = attrs.field(factory=dict)
    stirred: trio.Event = attrs.field(factory=trio.Event)

    # Processes

    def start(self, name: str, outside: Outside | None = None) -> Process:
        process = Process(name, trio.Event(), trio.Event(), trio.CancelScope(), trio.Event())
        self.processes[name] = process
        self.nursery.start_soon(self._run, process, outside or self.outside())
        return process

    def outside(self) -> Outside:
        return Outside(
            MemoryShardBus(self.redis),
            MemoryLeases(self.redis),
            MemoryJournal(self.postgres),
            self.clock,
            self.collect_seconds,
        )

    async def _run(self, process: Process, outside: Outside) -> None:
        with process.scope:
            await serve(outside, process.name, process.stop, process.drain)
        process.ended.set()

    async def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.scope.cancel()
        await process.ended.wait()

    async def stop(self, name: str) -> None:
        process = self.processes.pop(name)
        process.stop.set()
        await process.ended.wait()

    # What the gateway does

    async def listen(self, *, task_status: trio.TaskStatus[None]) -> None:
        async with self.gateway.inbound(GATEWAY) as inbound:
            for chunk in AREA:
                await self.gateway.watch(chunk)
            task_status.started()
            async for heard in inbound:
                if not isinstance(heard, Delta | Restored):
                    self.heard.append(heard)
                self.stirred.set()
                self.stirred = trio.Event()

    async def offer(self, *messages: ToShard) -> None:
        count = self.postgres.topology.shard_count
        await self.gateway.offer(
            [
                Offer((), slot_of(message.chunk, count), message, self._connection(message))
                for message in messages
            ]
        )

    def _connection(self, message: ToShard) -> int | None:
        if not isinstance(message, CommandOffered):
            return None
        bound = self.redis.bindings.get(message.session)
        return bound.connection if bound is not None else None

    async def stay(self, *agents: str) -> None:
        """Keep the sessions of ``agents`` present, as a gateway's beat does."""
        bound = self.redis.bindings
        sessions = [session for agent in agents if (session := SessionId(f"ses_{agent}")) in bound]
        connections = [(session, bound[session].connection) for session in sessions]
        await self.gateway.refresh(GATEWAY, connections)

    async def wait_for(self, found: Callable[[], object], seconds: float = 30) -> None:
        with trio.fail_after(seconds):
            while not found():
                await self.stirred.wait()

    def sign_up(self, agent: str, chunk: str = "0:0") -> AgentId:
        id = AgentId(agent)
        if id not in self.postgres.agents:
            now = datetime(2026, 1, 1, tzinfo=UTC)
            self.postgres.agents[id] = Account(id, agent, now, ChunkId(chunk), None, None)
            self.postgres.keys[agent] = ApiKey(agent, id, b"", "", ALL_SCOPES, now)
        return id

    async def open_session(self, agent: str, session: str | None = None) -> SessionId:
        """End the session that ``agent`` had, unless it is this one."""
        now = datetime.fromtimestamp(self.postgres.now_ms() / 1_000, UTC)
        opened = Session(
            SessionId(session or f"ses_{agent}"), AgentId(agent), agent, b"", b"", ALL_SCOPES,
            now, now + timedelta(days=1), (b"",),
        )  # fmt: skip
        await MemoryAccounts(self.postgres).open_session(opened)
        return opened.session

    def end_session(self, session: SessionId) -> None:
        now = datetime.fromtimestamp(self.postgres.now_ms() / 1_000, UTC)
        kept = self.postgres.sessions[session]
        self.postgres.sessions[session] = attrs.evolve(kept, ended_at=now)

    async def join(
        self, agent: str, session: str | None = None, at: Position | None = None
    ) -> Attached:
        """Attach ``agent`` as a gateway does, and return the answer."""
        id = self.sign_up(agent)
        await self.open_session(agent, session)
        attach = self.attach(agent, session, at)
        await self.gateway.bind(attach.session, GATEWAY)
        before = len(self.heard)
        await self.offer(attach)

        def answers() -> list[Attached]:
            late = self.heard[before:]
            return [m for m in late if isinstance(m, Attached) and m.agent == id]

        await self.wait_for(answers)
        return answers()[0]

    def attach(self, agent: str, session: str | None = None, at: Position | None = None) -> Attach:
        account = self.postgres.agents[AgentId(agent)]
        if at is None and account.x is not None and account.y is not None:
            at = Position(account.x, account.y)
        return Attach(
            SessionId(session or f"ses_{agent}"), account.agent, agent, account.chunk, GATEWAY, at
        )

    def command(
        self, agent: str, id: str, command: Command, chunk: str = "0:0", session: str | None = None
    ) -> CommandOffered:
        expires_at_ms = int(self.redis.now_ms()) + COMMAND_MS_MAX
        return CommandOffered(
            SessionId(session or f"ses_{agent}"),
            AgentId(agent),
            CommandId(id),
            command,
            ChunkId(chunk),
            GATEWAY,
            expires_at_ms,
        )

    def acks(self, id: str) -> list[AckLine]:
        return [m for m in self.heard if isinstance(m, AckLine) and m.id == id]

    def results(self, id: str) -> list[ResultLine]:
        return [m for m in self.heard if isinstance(m, ResultLine) and m.id == id]

    def assert_answered_once(self, agent: str, *ids: str) -> None:
        """As ``assert_kept_once``; and what came twice came the same."""
        self.assert_kept_once(agent, *ids)
        for id in ids:
            assert len(set(self.acks(id))) == len(set(self.results(id))) == 1

    def assert_kept_once(self, agent: str, *ids: str) -> None:
        """One ack and one result each in the session's stream."""
        kept = self.redis.lines[SessionId(f"ses_{agent}")]
        assert [line.seq for line in kept] == list(range(1, len(kept) + 1))
        for id in ids:
            assert [line.type for line in kept if line.id == id] == ["ack_line", "result_line"]

    async def show(self, chunk: str) -> ChunkStatic:
        before = len(self.heard)
        await self.offer(ShowAsked(ChunkId(chunk), GATEWAY))

        def shown() -> list[Shown]:
            late = self.heard[before:]
            return [m for m in late if isinstance(m, Shown) and m.chunk == chunk]

        await self.wait_for(shown)
        return wire.decode(shown()[0].static, ChunkStatic)

    # What is true

    @property
    def deltas(self) -> dict[ChunkId, list[ChunkDelta]]:
        return self.redis.published

    def population(self) -> dict[str, list[ChunkId]]:
        """Where listeners see each agent, by folding all deltas."""
        where: dict[str, list[ChunkId]] = {}
        for chunk, deltas in self.deltas.items():
            here: set[str] = set()
            for delta in deltas:
                for event in delta.events:
                    if isinstance(event, Entered):
                        here.add(event.id)
                    elif isinstance(event, Left):
                        here.discard(event.id)
            for agent in here:
                where.setdefault(agent, []).append(chunk)
        return where

    def assert_streams_are_unbroken(self) -> None:
        for chunk, deltas in self.deltas.items():
            ticks = [delta.tick for delta in deltas]
            assert ticks == sorted(set(ticks)), f"{chunk} shows ticks twice or backwards: {ticks}"
            for earlier, later in itertools.pairwise(deltas):
                assert later.prev_tick == earlier.tick, f"{chunk}: a gap before {later.tick}"

    def saved_tick(self, chunk: str) -> Tick:
        snapshot = self.postgres.chunks[ChunkId(chunk)].snapshot
        assert snapshot is not None, f"{chunk} was never saved"
        return decode_chunk(snapshot.state).tick

    def slot(self, chunk: str) -> Slot:
        return slot_of(ChunkId(chunk), self.postgres.topology.shard_count)

    def goal(self, chunk: str, number: int = 600) -> MoveTo:
        """A command to walk to some floor cell of ``chunk``."""
        floor = terrain_of(self.postgres.world.seed, ChunkId(chunk), 1).floor()
        return MoveTo(*floor[number % len(floor)])
