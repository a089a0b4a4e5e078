"""What traces cost: the same commands through gateways that differ in nothing but their settings.

``python -P -m ops.bench.tracing``. One world, one shard that exports what is sampled, and a gateway
for each way of tracing; they are measured in turn, so that a busy minute hits all. It judges none.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import attrs

from common.accounts import ALL_SCOPES
from ops.bench.answering import wait_served
from ops.bench.command import command_of
from ops.bench.crowds import Server
from ops.bench.enrolling import enroll
from ops.bench.meter import Usage, usage
from ops.bench.outcome import Figure
from ops.bench.players import Scene
from ops.bench.rig import Process, Rig, Site
from ops.bench.troupe import Troupe, a_troupe


@attrs.frozen
class Size:
    agents: int = 100
    rate: float = 400.0
    each: int = 8
    """Agents in a chunk."""
    seconds: float = 3.0
    """Short: who waits for his next turn longer than 30 s has only challenges that expired."""
    rounds: int = 6
    warm_seconds: float = 2.0


@attrs.define
class _Way:
    name: str
    gateway: Process
    troupe: Troupe
    gateway_cpu: float = 0.0
    shard_cpu: float = 0.0
    acks: int = 0


async def measure(rig: Rig, size: Size) -> list[Figure]:
    with a_sink() as endpoint:
        ways = _settings(endpoint)
        async with (
            rig.site("tracing", gateways=len(ways)) as site,
            rig.shard(site, ways["all of them exported"]) as shard,
            AsyncExitStack() as stack,
        ):
            await wait_served(shard)
            tried = [
                await stack.enter_async_context(_a_way(rig, site, n, name, settings, size))
                for n, (name, settings) in enumerate(ways.items())
            ]
            for way in tried:
                await way.troupe.play(Scene(size.rate, size.warm_seconds))
            for _ in range(size.rounds):
                for way in tried:
                    await _play(way, shard, Scene(size.rate, size.seconds))
            return [figure for way in tried for figure in _figures(way, size)]


def _settings(endpoint: str) -> dict[str, Mapping[str, str]]:
    on = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    tenth = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"}
    return {
        "nothing configured": {},
        "one in ten exported": {**on, **tenth},
        "all of them exported": on,
        "lines of log at debug": {"TESSERA_LOG_LEVEL": "debug"},
    }


@asynccontextmanager
async def _a_way(
    rig: Rig, site: Site, n: int, name: str, settings: Mapping[str, str], size: Size
) -> AsyncIterator[_Way]:
    parts = await enroll(site, f"way-{n}", size.agents, size.each, ALL_SCOPES)
    async with rig.gateway(site, n, settings) as process:
        server = Server(name, process.pid, site.plan.port + n, "/v1/agent")
        async with a_troupe(server, parts) as troupe:
            yield _Way(name, process, troupe)


async def _play(way: _Way, shard: Process, scene: Scene) -> None:
    before = way.gateway.usage(), shard.usage()
    report = await way.troupe.play(scene)
    after = way.gateway.usage(), shard.usage()
    way.gateway_cpu += _cpu(before[0], after[0])
    way.shard_cpu += _cpu(before[1], after[1])
    way.acks += report.acks


def _cpu(before: Usage, after: Usage) -> float:
    return after.cpu - before.cpu


def _figures(way: _Way, size: Size) -> list[Figure]:
    case = f"{size.agents:,} agents, {size.rate:g} commands a second: {way.name}"
    commands = max(way.acks, 1)
    return [
        Figure(case, "CPU of the gateway a command", way.gateway_cpu / commands * 1e6, "µs"),
        Figure(case, "CPU of the shard a command", way.shard_cpu / commands * 1e6, "µs"),
        Figure(case, "memory of the gateway", usage(way.gateway.pid).rss / 2**20, "MB"),
    ]


@contextmanager
def a_sink() -> Iterator[str]:
    """A collector that takes everything and looks at nothing."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


QUICK = Size(agents=20, rate=80, seconds=2, rounds=4, warm_seconds=1)

if __name__ == "__main__":
    command_of(
        "bench tracing",
        {"tracing": lambda rig: measure(rig, Size())},
        {"tracing": lambda rig: measure(rig, QUICK)},
        "Half a minute, at a fifth of the size.",
    )()
