"""Does to the world what was drawn, and measures how long it takes to recover.

Measures: a slot's *takeover*, from the kill or the stop to when another process holds it, and to
when that one serves it; and for each agent that the fault hit, the time until a command that it
sent after it has its result.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import attrs
import trio

from common.errors import Trouble
from common.grid import Cell, Slot, slot_of
from ops.chaos.cluster import Cluster
from ops.chaos.faults import Fault, Kind
from ops.chaos.findings import Findings
from ops.chaos.leases import Leases
from ops.chaos.player import Player
from ops.chaos.reshaping import ask_reshard
from ops.chaos.takeover import Takeover
from ops.up.run_folder import Running

TAKEOVER_SECONDS_MAX = 5.0  # The promise.
VICTIM_SECONDS_MAX = 10.0  # Until there is a victim: it may be recovering, or still be stopped.
WATCH_SECONDS_MAX = 30.0  # A takeover that takes longer than this is not measured any further.
OUTAGE_SECONDS = 3.0  # A server killed this long before may still be what a takeover waits for.
RESHARD_SECONDS = 5.0  # For so long chunks may still change hands.
LOOK_SECONDS = 0.05

TAKEOVER = "a spare takes over within 5 s"
SERVING = "what was taken over is served within 5 s"


@attrs.define
class Injected:
    """What was done, and what came of it."""

    fault: Fault
    at: float
    victim: str
    has_spare: bool = False
    """Somebody stood by when it happened."""
    takeover: float | None = None
    """Seconds until another process held the slot."""
    serving: float | None = None
    """Seconds until it served it (``ops.chaos.takeover``)."""
    waiting: set[str] = attrs.field(factory=set)
    """Agents hit by it, of whom no command sent since has ended yet."""
    served: dict[str, float] = attrs.field(factory=dict)
    """The others that were hit: seconds until one had ended."""

    @property
    def recoveries(self) -> Sequence[float]:
        return list(self.served.values())

    @property
    def hits_slot(self) -> bool:
        return self.takes_slot or self.fault.kind == "drain shard"

    @property
    def takes_slot(self) -> bool:
        return self.fault.kind in ("kill shard", "pause shard")


@attrs.define
class Injector:
    cluster: Cluster
    leases: Leases
    players: Sequence[Player]
    findings: Findings
    now: Callable[[], float]
    injected: list[Injected] = attrs.field(factory=list)
    skipped: Counter[Kind] = attrs.field(factory=Counter)
    """Faults for which there was no victim: nobody held the slot, say."""
    _paused: set[int] = attrs.field(factory=set)
    _shard_count: int = attrs.field(init=False)
    """What was asked for last: about what is in force."""

    def __attrs_post_init__(self) -> None:
        self._shard_count = self.cluster.size.shards

    async def run(self, faults: Iterable[Fault]) -> None:
        """Return when the last fault is over and its takeover was measured; then all are judged."""
        async with trio.open_nursery() as nursery:
            for fault in faults:
                await trio.sleep(max(0.0, fault.at - self.now()))
                nursery.start_soon(self._inject, fault)
        self.injected.sort(key=lambda one: one.at)
        for done in self.injected:
            if done.takes_slot:
                self._judge(done)

    def ended(self, player: str, sent_at: float) -> None:
        """Take note: a command that ``player`` sent then has its result."""
        for one in self.injected:
            if player in one.waiting and sent_at > one.at:
                one.waiting.discard(player)
                one.served[player] = self.now() - one.at

    async def _inject(self, fault: Fault) -> None:
        patience = trio.current_time() + VICTIM_SECONDS_MAX
        while (victim := await self._find(fault, patience)) is not None:
            has_spare = self._has_spare(victim)
            takeover = Takeover.of(Slot(fault.n), victim.name or "", self.leases.look)
            done = Injected(fault, self.now(), f"{victim.role}-{victim.n}", has_spare)
            done.waiting = {player.name for player in self.players if self._is_hit(player, fault)}
            if await self._do(fault, victim):
                self.injected.append(done)
                await self._attend(done, victim, takeover)
                return
            await trio.sleep(LOOK_SECONDS)
        self.skipped[fault.kind] += 1

    async def _attend(self, done: Injected, victim: Running, takeover: Takeover) -> None:
        async with trio.open_nursery() as nursery:
            if done.takes_slot:
                nursery.start_soon(self._measure_takeover, done, takeover)
            if done.fault.kind == "pause shard":
                nursery.start_soon(self._let_go, victim.pid, done.fault.seconds)

    async def _do(self, fault: Fault, victim: Running) -> bool:
        """Return whether there was somebody to do it to."""
        match fault.kind:
            case "cut subscriptions":
                return await self.leases.cut_subscriptions()
            case "pause shard":
                return _signal(victim.pid, signal.SIGSTOP)
            case "drain shard":
                with suppress(ProcessLookupError):
                    self.cluster.tell_to_end(victim)
                    return True
                return False
            case "reshard":
                return await self._reshard(fault.n)
            case _:
                return _signal(victim.pid, signal.SIGKILL)

    async def _reshard(self, shard_count: int) -> bool:
        is_asked = False
        try:
            await ask_reshard(self.cluster, shard_count)
            self._shard_count, is_asked = shard_count, True
        except* Trouble:
            pass
        return is_asked

    async def _find(self, fault: Fault, deadline: float) -> Running | None:
        while trio.current_time() < deadline:
            victim = self._victim(fault)
            if victim is not None and victim.pid not in self._paused:
                return victim
            await trio.sleep(LOOK_SECONDS)
        return None

    def _victim(self, fault: Fault) -> Running | None:
        match fault.kind:
            case "kill shard" | "pause shard" | "drain shard":
                holder = self.leases.holders.get(Slot(fault.n))
                return next((one for one in self.cluster.shards() if one.name == holder), None)
            case "kill gateway":
                return self.cluster.running("gateway", fault.n)
            case "kill redis" | "cut subscriptions":
                return self.cluster.running("redis")
            case "kill postgres" | "reshard":
                return self.cluster.running("postgres")

    def _has_spare(self, victim: Running) -> bool:
        """Whether more stand by than there are slots, but for the victim's, that wait for one."""
        able = {
            one.name
            for one in self.cluster.shards()
            if one.pid not in self._paused and one.pid != victim.pid
        }
        holders = set(self.leases.holders.values())
        waiting = [
            holder
            for holder in self.leases.holders.values()
            if holder not in able and holder != victim.name
        ]
        return len(able - holders) > len(waiting)

    def _is_hit(self, player: Player, fault: Fault) -> bool:
        match fault.kind:
            case "kill shard" | "pause shard" | "drain shard":
                if player.agent is None:
                    return False
                at = Cell(player.agent.position.x, player.agent.position.y)
                return slot_of(at.chunk, self._shard_count) == fault.n
            case "kill gateway":
                return player.agent is not None and player.agent.url == self.cluster.urls[fault.n]
            case "reshard" | "kill redis" | "kill postgres" | "cut subscriptions":
                return True

    async def _let_go(self, pid: int, seconds: float) -> None:
        self._paused.add(pid)
        try:
            await trio.sleep(seconds)
        finally:
            self._paused.discard(pid)
            _signal(pid, signal.SIGCONT)

    async def _measure_takeover(self, done: Injected, takeover: Takeover) -> None:
        with trio.move_on_after(WATCH_SECONDS_MAX):
            await self.leases.wait_other(takeover.slot, takeover.holder)
            done.takeover = self.now() - done.at
            await self.leases.wait_over(takeover)
            done.serving = self.now() - done.at

    def _judge(self, done: Injected) -> None:
        if self.is_judged(done):
            self._judge_seconds(TAKEOVER, done, done.takeover)
        if self.is_serving_judged(done):
            self._judge_seconds(SERVING, done, done.serving)

    def _judge_seconds(self, promise: str, done: Injected, seconds: float | None) -> None:
        if seconds is None or seconds > TAKEOVER_SECONDS_MAX:
            took = f"{seconds:.1f} s" if seconds is not None else "not at all"
            self.findings.add(promise, f"slot {done.fault.n}", took, done.at)

    def is_judged(self, done: Injected) -> bool:
        """Whether a takeover had all it needs: a spare, and servers that were there."""
        return done.has_spare and not self._is_disturbed(done, done.takeover)

    def is_serving_judged(self, done: Injected) -> bool:
        """The same until it was served; nor did anything else happen to slots meanwhile."""
        until = done.at + (done.serving or WATCH_SECONDS_MAX)
        others = [
            other
            for other in self.injected
            if (other.fault.kind == "reshard" and done.at - RESHARD_SECONDS < other.at < until)
            or (other.hits_slot and done.at < other.at < until)
        ]
        return done.has_spare and not others and not self._is_disturbed(done, done.serving)

    def _is_disturbed(self, done: Injected, seconds: float | None) -> bool:
        until = done.at + (seconds or WATCH_SECONDS_MAX)
        return any(
            other.fault.kind in ("kill redis", "kill postgres")
            and done.at - OUTAGE_SECONDS < other.at < until
            for other in self.injected
        )


def _signal(pid: int, how: signal.Signals) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, how)
        return True
    return False
