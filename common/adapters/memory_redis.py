"""Redis in memory: what the gateways and shards of one cluster in one process share.

Deterministic: time is trio's clock, and nothing is drawn. It keeps the promises of the real one
(the contract tests run on both) but not its limits: what has run out may stay in memory. The
views on it are ``memory_gateway_bus``, ``memory_shard_bus`` and ``memory_leases``.
"""

from __future__ import annotations

from collections import deque

import attrs
import trio

from common import topics
from common.adapters.durations import Durations
from common.bus import Delta, GatewayBeat, Inbound, Restored
from common.envelopes import SessionLine, ToGateway, ToShard
from common.errors import Unavailable
from common.grid import AgentId, ChunkId, CommandId, Epoch, GatewayId, SessionId, Slot, Tick
from common.limits import INBOUND_MAX
from common.topology import ProcessBeat, SlotBeat, SlotState, Survey

BEGINNING_MS = 1_750_000_000_000  # Any time of day will do: it makes numbers look like real ones.
RECONNECT_SECONDS = 0.05  # As long as the real subscription waits before its first try.


@attrs.define
class Bound:
    gateway: GatewayId | None
    connection: int
    offers: dict[CommandId, int] = attrs.field(factory=dict)
    """See ``topics.offer``."""


@attrs.define
class Bucket:
    tokens: float
    when_ms: float


@attrs.define
class Fence:
    """``tick`` is 0 while nothing was published."""

    epoch: Epoch
    tick: Tick


@attrs.define
class DeltaStream:
    deltas: deque[Delta] = attrs.field(factory=deque)
    """In order of their ticks."""
    until_ms: float = 0.0


@attrs.define
class SlotStream:
    """``arrived`` is set, and replaced, by each message."""

    entries: list[tuple[int, ToShard | None]] = attrs.field(factory=list)
    arrived: trio.Event = attrs.field(factory=trio.Event)


class Subscriber:
    """One gateway's ear. Once lost it hears nothing until it was told Restored."""

    def __init__(self, gateway: GatewayId) -> None:
        self.gateway = gateway
        self.watched: set[ChunkId] = set()
        self.send, self.receive = trio.open_memory_channel[Inbound](INBOUND_MAX)
        self.loss = trio.Event()
        self.overflows = 0

    @property
    def is_lost(self) -> bool:
        return self.loss.is_set()

    def hear(self, inbound: Inbound) -> None:
        if self.is_lost:
            return
        try:
            self.send.send_nowait(inbound)
        except trio.WouldBlock:
            self.overflows += 1
            self.loss.set()

    def restore(self) -> None:
        try:
            self.send.send_nowait(Restored())
        except trio.WouldBlock:
            return  # First there must be room again.
        self.loss = trio.Event()


class MemoryRedis:
    def __init__(self, durations: Durations | None = None) -> None:
        self.durations = durations or Durations()
        self.subscribers: list[Subscriber] = []
        self._down = False
        self._up = trio.Event()
        self._position = 0
        self._news = 0
        self._announced = trio.Event()
        self.forget()

    def forget(self) -> None:
        """Lose all data, as a Redis that was flushed. Subscriptions stay."""
        self.slots: dict[Slot, SlotStream] = {}
        self.deltas: dict[ChunkId, DeltaStream] = {}
        self.fences: dict[ChunkId, Fence] = {}
        self.lines: dict[SessionId, list[SessionLine]] = {}
        self.bindings: dict[SessionId, Bound] = {}
        self.presence: dict[SessionId, float] = {}
        self.buckets: dict[tuple[str, str], Bucket] = {}
        self.strikes: dict[tuple[AgentId, str], list[float]] = {}
        self.cooldowns: dict[AgentId, float] = {}
        self.leases: dict[Slot, tuple[str, float]] = {}
        self.watched: dict[ChunkId, float] = {}
        self.creations: dict[ChunkId, tuple[str, float]] = {}
        self.gateway_beats: dict[GatewayId, tuple[float, GatewayBeat]] = {}
        self.slot_beats: dict[Slot, tuple[float, SlotBeat]] = {}
        self.process_beats: dict[str, tuple[float, ProcessBeat]] = {}
        self.drains: dict[str, float] = {}

    @property
    def down(self) -> bool:
        """While True every call raises Unavailable; data stays, subscriptions are lost."""
        return self._down

    @down.setter
    def down(self, down: bool) -> None:
        self._down = down
        if down:
            self.cut()
            for stream in self.slots.values():
                self._wake(stream)
            self._wake_hearers()
        else:
            self._up.set()
            self._up = trio.Event()

    def cut(self) -> None:
        """Every subscription is lost; each gateway hears Restored when it has its own back."""
        for subscriber in self.subscribers:
            subscriber.loss.set()

    async def turn(self, what: str) -> None:
        """Let others run, as a call over a network does; what follows happens in one step."""
        await trio.lowlevel.checkpoint()
        self.check(what)

    def check(self, what: str) -> None:
        if self._down:
            raise Unavailable(f"{what}: Redis can't be reached")

    def now_ms(self) -> float:
        return BEGINNING_MS + trio.current_time() * 1_000

    def stream(self, slot: Slot) -> SlotStream:
        return self.slots.setdefault(slot, SlotStream())

    def holder(self, slot: Slot) -> str | None:
        holder, until_ms = self.leases.get(slot, (None, 0.0))
        return holder if self.now_ms() < until_ms else None

    def remove(self, slot: Slot, position: str) -> bool:
        """Whether it was there."""
        stream = self.stream(slot)
        before = len(stream.entries)
        stream.entries = [entry for entry in stream.entries if entry[0] != int(position)]
        return len(stream.entries) < before

    def append(self, slot: Slot, message: ToShard | None) -> None:
        """None stands for a message that nobody can read."""
        self._position += 1
        stream = self.stream(slot)
        stream.entries.append((self._position, message))
        self._wake(stream)

    def _wake(self, stream: SlotStream) -> None:
        stream.arrived.set()
        stream.arrived = trio.Event()

    # News, and who is there

    def stir(self) -> None:
        """There is news."""
        self._news += 1
        self._wake_hearers()

    def _wake_hearers(self) -> None:
        self._announced.set()
        self._announced = trio.Event()

    async def news(self, after: str, wait_ms: int) -> str:
        await self.turn("news")
        with trio.move_on_after(wait_ms / 1_000):
            while self._news <= int(after):
                await self._announced.wait()
                self.check("news")
        return str(max(self._news, int(after)))

    def survey(self, process: str = "", *, with_beats: bool = False) -> Survey:
        now_ms = self.now_ms()
        oldest_ms = now_ms - self.durations.beat_ms_max
        slots: dict[Slot, SlotState] = {}
        for slot in sorted(self.leases.keys() | self.slots.keys()):
            holder, stream = self.holder(slot), self.slots.get(slot)
            waiting = len(stream.entries) if stream else 0
            if holder or waiting:
                at_ms, beat = self.slot_beats.get(slot, (0.0, None))
                fresh = beat if with_beats and at_ms > oldest_ms else None
                slots[slot] = SlotState(holder and topics.process_of(holder), waiting, fresh)
        beats = self.process_beats.items()
        able_ms = now_ms - self.durations.able_ms_max
        processes = {name: beat for name, (at_ms, beat) in beats if at_ms > able_ms}
        return Survey(slots, processes, self.drains.get(process, 0.0) > now_ms)

    def send(self, gateway: GatewayId, message: ToGateway) -> None:
        for subscriber in self.subscribers:
            if subscriber.gateway == gateway:
                subscriber.hear(message)

    def announce(self, delta: Delta) -> None:
        for subscriber in self.subscribers:
            if delta.chunk in subscriber.watched:
                subscriber.hear(delta)

    async def keep(self, subscriber: Subscriber) -> None:
        """Bring ``subscriber`` back each time that it was lost. Runs until cancelled."""
        while True:
            await subscriber.loss.wait()
            while self._down:
                await self._up.wait()
            await trio.sleep(RECONNECT_SECONDS)
            if not self._down:
                subscriber.restore()
