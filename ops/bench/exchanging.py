"""What an agent's command costs the gateway, and what a handler costs that does only the proof.

Ours parses, verifies, takes the command to a shard and tells of its ack and its result, and shows
the chunk to whoever observes it; FastAPI's (``rival``) asks for a proof, verifies it and says yes.
They are measured in turn, both with all their agents connected, so that a busy minute hits both.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import trio

from common.accounts import ALL_SCOPES, Scope
from common.challenge import encode_base64url
from ops.bench.answering import wait_served
from ops.bench.crowds import Server, a_rival
from ops.bench.enrolling import enroll
from ops.bench.meter import usage
from ops.bench.outcome import Figure, percentile
from ops.bench.players import Part, Report, Scene
from ops.bench.rig import Rig
from ops.bench.rival import AGENT, SECRET, SESSION
from ops.bench.troupe import Troupe, a_troupe

RATIO, CORE, SHARE, P99_MS = 1.0, 100.0, 0.99, 500.0
PATH, RIVAL_PATH = "/v1/agent", "/agent"
ACTING = ALL_SCOPES - {Scope.OBSERVE}


@attrs.frozen
class Size:
    agents: int = 200
    rate: float = 400.0
    each: int = 8
    """Agents in a chunk."""
    seconds: float = 6.0
    rounds: int = 3
    warm_seconds: float = 3.0
    many: int = 1_000
    many_rate: float = 200.0
    many_seconds: float = 15.0


@attrs.define
class Tally:
    """What several scenes showed together."""

    cpu: float = 0.0
    seconds: float = 0.0
    reports: list[Report] = attrs.field(factory=list)

    @property
    def sent(self) -> int:
        return sum(report.sent for report in self.reports)

    @property
    def acks(self) -> int:
        return sum(report.acks for report in self.reports)

    @property
    def cpu_us(self) -> float:
        return self.cpu / max(self.acks, 1) * 1e6

    @property
    def share(self) -> float:
        return self.acks / max(self.sent, 1)

    @property
    def seen(self) -> float:
        return sum(report.seen for report in self.reports) / max(self.acks, 1)

    def wait_ms(self, percent: float) -> float:
        return percentile((w for report in self.reports for w in report.waits_ms), percent)


async def measure(rig: Rig, size: Size) -> list[Figure]:
    async with (
        rig.site("exchanging") as site,
        rig.shard(site) as shard,
        rig.gateway(site) as process,
        a_rival(site) as rival,
    ):
        await wait_served(shard)
        gateway = Server("gateway", process.pid, site.plan.port, PATH)
        empty = usage(gateway.pid).rss
        acting = await enroll(site, "acting", size.agents, size.each, ACTING)
        seeing = await enroll(site, "seeing", size.agents, size.each, ALL_SCOPES)
        figures = []
        same = [_rivals_part() for _ in acting]
        async with a_troupe(attrs.evolve(rival, path=RIVAL_PATH), same, rival=True) as theirs:
            for what, parts in (("act only", acting), ("observing", seeing)):
                figures += await _compare(gateway, rival, theirs, what, parts, size)
        parts = await enroll(site, "many", size.many, size.each, ALL_SCOPES)
        figures += await _many(gateway, parts, size, empty)
    return figures


async def _compare(
    gateway: Server, rival: Server, theirs: Troupe, what: str, parts: list[Part], size: Size
) -> list[Figure]:
    pipelined, two_steps, other = Tally(), Tally(), Tally()
    async with a_troupe(gateway, parts) as ours:
        for troupe in (ours, theirs):
            await troupe.play(Scene(size.rate, size.warm_seconds, troupe is theirs))
        for _ in range(size.rounds):
            await _watch(gateway, ours, Scene(size.rate, size.seconds), pipelined)
            await _watch(rival, theirs, Scene(size.rate, size.seconds, two_steps=True), other)
        await _watch(gateway, ours, Scene(size.rate, size.seconds, two_steps=True), two_steps)
    case = f"G. {size.agents:,} agents, {size.rate:g} commands a second, {what}"
    return [
        Figure(case, "CPU of the gateway an exchange, pipelined", pipelined.cpu_us, "µs"),
        Figure(case, "CPU of FastAPI for a two-step challenge alone", other.cpu_us, "µs"),
        Figure(case, "of FastAPI's", pipelined.cpu_us / other.cpu_us, most=RATIO),
        Figure(case, "accepted, of those that were offered", pipelined.share, least=SHARE),
        Figure(case, "frames that show the world, an exchange", pipelined.seen),
        Figure(case, "request to ack, p50", pipelined.wait_ms(50), "ms"),
        Figure(case, "request to ack, p99", pipelined.wait_ms(99), "ms"),
        Figure(case, "CPU of the gateway an exchange, two steps", two_steps.cpu_us, "µs"),
    ]


async def _many(gateway: Server, parts: Sequence[Part], size: Size, empty: int) -> list[Figure]:
    tally = Tally()
    async with a_troupe(gateway, list(parts)) as troupe:
        await troupe.play(Scene(size.many_rate, size.warm_seconds))
        full = usage(gateway.pid).rss
        await _watch(gateway, troupe, Scene(size.many_rate, size.many_seconds), tally)
    case = f"H. {size.many:,} agents, {size.many_rate:g} commands a second"
    lost = sum(report.lost + report.unanswered for report in tally.reports)
    return [
        Figure(case, "CPU of the gateway", tally.cpu / tally.seconds * 100, "%", most=CORE),
        Figure(case, "CPU of the gateway an exchange", tally.cpu_us, "µs"),
        Figure(case, "accepted, of those that were offered", tally.share, least=SHARE),
        Figure(case, "connections lost, acks and results missing", lost, most=0),
        Figure(case, "request to ack, p50", tally.wait_ms(50), "ms"),
        Figure(case, "request to ack, p99", tally.wait_ms(99), "ms", most=P99_MS),
        Figure(case, "memory a connection (RSS)", (full - empty) / size.many / 1024, "KB"),
    ]


def _rivals_part() -> Part:
    return Part(AGENT, SESSION, encode_base64url(SECRET), "")


async def _watch(server: Server, troupe: Troupe, scene: Scene, tally: Tally) -> None:
    """Play ``scene``, and put what it cost into ``tally``: also what comes after the last ack."""
    then, began = usage(server.pid).cpu, trio.current_time()
    tally.reports.append(await troupe.play(scene))
    tally.cpu += usage(server.pid).cpu - then
    tally.seconds += trio.current_time() - began
