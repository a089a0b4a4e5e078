"""The composition root of a gateway process: the only place here that knows a real adapter.

It reads no environment and handles no signals; who runs it hands over settings and ``stop``. The
order of stopping is from the outside in: no new connections, goodbye to those that are open, and
only then what they lived on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

import attrs
import structlog
import trio
import trio_asyncio
from hypercorn.config import Config

from common.adapters.clock import SystemClock
from common.adapters.otlp import open_spans
from common.adapters.postgres import Postgres, open_postgres
from common.adapters.postgres_accounts import PostgresAccounts
from common.adapters.postgres_operators import PostgresOperators
from common.adapters.private_port import Missing, serve_private
from common.adapters.redis import open_redis
from common.adapters.redis_gateway_bus import RedisGatewayBus
from common.bus import GatewayBeat
from common.errors import Misconfigured, Trouble, Unavailable
from common.grid import GatewayId
from common.limits import (
    BACKOFF_SECONDS_MAX,
    BACKOFF_SECONDS_MIN,
    BEAT_SECONDS,
    REDIS_SECONDS_MAX,
)
from common.settings import Settings
from common.tokens import new_id
from common.topology import Topology
from common.traces import Spans
from gateway.agent.agents import Agents
from gateway.agent.outside import Outside as AgentOutside
from gateway.asgi import Gateway
from gateway.courier import Courier
from gateway.http.app import make_app
from gateway.http.health import missing_now
from gateway.http.outside import Outside as HttpOutside
from gateway.listener import make_config, serve
from gateway.metrics import QUEUE, REGISTRY
from gateway.moderation import Moderator, keep_told
from gateway.ops.record import record_upgrade
from gateway.ports import Accounts, Bus, Operators
from gateway.stream.feeds import Feeds
from gateway.stream.spectate import Spectators
from gateway.switchboard import Switchboard
from gateway.topology import Routes, follow
from gateway.vacancy import keep_counted

log = structlog.get_logger()


async def run(
    settings: Settings,
    *,
    host: str,
    port: int,
    metrics_host: str = "127.0.0.1",
    metrics_port: int,
    name: str,
    stop: trio.Event,
    task_status: trio.TaskStatus[tuple[int, int]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve as ``name`` until ``stop``; started with the real (port, metrics port) (0: free ones).

    While PostgreSQL is away it waits with the private port open, not yet ready and not yet
    started; who stops it then cancels it. Misconfigured when the public port can't be had, or TLS.
    """
    if settings.database_url is None or settings.redis_url is None:
        raise Misconfigured("a gateway needs DATABASE_URL and REDIS_URL")
    config = make_config(settings.tls_cert, settings.tls_key)
    async with (
        open_spans(settings, "gateway", name) as spans,
        trio_asyncio.open_loop(),
        open_postgres(settings.database_url) as postgres,
        open_redis(settings.redis_url) as redis,
    ):
        bus, accounts = RedisGatewayBus(redis), PostgresAccounts(postgres)
        # Its name alone could be that of a process that died a moment ago: not the same inbox.
        gateway = GatewayId(f"{name}-{new_id()}")
        async with trio.open_nursery() as nursery:
            readiness = _Readiness()
            private_port: int = await nursery.start(
                partial(
                    serve_private,
                    metrics_port,
                    readiness.missing,
                    REGISTRY,
                    stop=trio.Event(),
                    host=metrics_host,
                )
            )
            routes = Routes(await _topology(postgres, accounts))
            started = partial(_tell, task_status, private_port)
            operators = PostgresOperators(postgres)
            await _serve(
                bus,
                accounts,
                operators,
                settings,
                spans,
                gateway,
                routes,
                config,
                host,
                port,
                stop,
                readiness,
                started,
            )
            nursery.cancel_scope.cancel()


@attrs.define
class _Readiness:
    """What the private port says; ``ask`` is known once there is something to ask."""

    ask: Missing | None = None

    async def missing(self) -> Mapping[str, str]:
        return await self.ask() if self.ask else {"postgres": "unreachable since it started"}


async def _topology(postgres: Postgres, accounts: Accounts) -> Topology:
    """Wait for PostgreSQL. Misconfigured when it comes with no database of this version."""
    pause = 0.0
    while True:
        try:
            if pause:
                await postgres.start()  # Nobody has looked at its schema yet.
            return (await accounts.topologies()).in_force
        except Unavailable as trouble:
            if not pause:
                log.warning("waiting for PostgreSQL", trouble=str(trouble))
            pause = min(max(BACKOFF_SECONDS_MIN, 2 * pause), BACKOFF_SECONDS_MAX)
        await trio.sleep(pause)


def _tell(task_status: trio.TaskStatus[tuple[int, int]], private_port: int, port: int) -> None:
    task_status.started((port, private_port))


async def _serve(
    bus: Bus,
    accounts: Accounts,
    operators: Operators,
    settings: Settings,
    spans: Spans,
    gateway: GatewayId,
    routes: Routes,
    config: Config,
    host: str,
    port: int,
    stop: trio.Event,
    readiness: _Readiness,
    started: Callable[[int], None],
) -> None:
    courier, clock, moderator = Courier(bus), SystemClock(), Moderator()
    feeds = Feeds(bus, courier, routes, gateway)
    switchboard = Switchboard(bus, gateway, feeds)
    spectators = Spectators(feeds, bus, settings, stop)
    calls = HttpOutside(
        bus, accounts, clock, courier, routes, settings, feeds, operators, moderator, spans
    )
    agents = Agents(
        AgentOutside(
            bus,
            accounts,
            clock,
            courier,
            switchboard,
            feeds,
            routes,
            settings,
            gateway,
            stop,
            spans=spans,
            moderator=moderator,
        )
    )
    app = Gateway(
        make_app(calls),
        agents,
        spectators.events,
        spectators.frames,
        partial(record_upgrade, calls),
    )
    async with trio.open_nursery() as supplying:
        await supplying.start(courier.run)
        await supplying.start(feeds.run)
        await supplying.start(switchboard.run)
        await supplying.start(keep_told, moderator, operators)
        supplying.start_soon(follow, bus, accounts, routes)
        supplying.start_soon(keep_counted, bus, routes)
        supplying.start_soon(_beat, bus, gateway, agents, spectators)
        supplying.start_soon(_measure, courier, switchboard)
        readiness.ask = partial(missing_now, calls)
        async with trio.open_nursery() as serving:
            serving.start_soon(agents.run)
            serving.start_soon(spectators.run)
            try:
                public_port: int = await serving.start(
                    partial(serve, app, config, host=host, port=port, stop=stop)
                )
            except OSError as error:
                raise Misconfigured(f"cannot listen on {host}:{port}: {error.strerror}") from None
            started(public_port)
        supplying.cancel_scope.cancel()


async def _beat(bus: Bus, gateway: GatewayId, agents: Agents, spectators: Spectators) -> None:
    while True:
        beat = GatewayBeat(agents.count, spectators.count)
        with suppress(Trouble), trio.move_on_after(REDIS_SECONDS_MAX):
            await bus.beat(gateway, beat)  # The next one says the same.
        await trio.sleep(BEAT_SECONDS)


async def _measure(courier: Courier, switchboard: Switchboard) -> None:
    while True:
        QUEUE.labels("offers").set(len(courier))
        QUEUE.labels("inbound").set(len(switchboard))
        await trio.sleep(BEAT_SECONDS)
