"""The composition root of a gateway process: the only place here that knows a real adapter.

It reads no environment and handles no signals; who runs it hands over settings and ``stop``. The
order of stopping is from the outside in: no new connections, goodbye to those that are open, and
only then what they lived on.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import trio
import trio_asyncio

from common.adapters.clock import SystemClock
from common.adapters.postgres import open_postgres
from common.adapters.postgres_accounts import PostgresAccounts
from common.adapters.private_port import serve_private
from common.adapters.redis import open_redis
from common.adapters.redis_gateway_bus import RedisGatewayBus
from common.bus import GatewayBeat
from common.errors import Misconfigured, Trouble
from common.grid import GatewayId
from common.limits import BEAT_SECONDS, REDIS_SECONDS_MAX
from common.settings import Settings
from common.tokens import new_id
from gateway.agent.agents import Agents
from gateway.agent.outside import Outside as AgentOutside
from gateway.asgi import Gateway
from gateway.courier import Courier
from gateway.http.app import make_app
from gateway.http.health import missing_now
from gateway.http.outside import Outside as HttpOutside
from gateway.listener import make_config, serve
from gateway.ports import Accounts, Bus
from gateway.stream.feeds import Feeds
from gateway.stream.spectate import Spectators
from gateway.switchboard import Switchboard
from gateway.topology import Routes


async def run(
    settings: Settings,
    *,
    host: str,
    port: int,
    metrics_port: int,
    name: str,
    stop: trio.Event,
    task_status: trio.TaskStatus[tuple[int, int]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve as ``name`` until ``stop``; started with the real (port, metrics port) (0: free ones).

    Misconfigured when the public port can't be had.
    """
    if settings.database_url is None or settings.redis_url is None:
        raise Misconfigured("a gateway needs DATABASE_URL and REDIS_URL")
    async with (
        trio_asyncio.open_loop(),
        open_postgres(settings.database_url) as postgres,
        open_redis(settings.redis_url) as redis,
    ):
        bus, accounts = RedisGatewayBus(redis), PostgresAccounts(postgres)
        # Its name alone could be that of a process that died a moment ago: not the same inbox.
        gateway = GatewayId(f"{name}-{new_id()}")
        await _serve(bus, accounts, settings, gateway, host, port, metrics_port, stop, task_status)


async def _serve(
    bus: Bus,
    accounts: Accounts,
    settings: Settings,
    gateway: GatewayId,
    host: str,
    port: int,
    metrics_port: int,
    stop: trio.Event,
    task_status: trio.TaskStatus[tuple[int, int]],
) -> None:
    routes = Routes(await accounts.topology())
    courier, clock = Courier(bus), SystemClock()
    feeds = Feeds(bus, courier, routes, gateway)
    switchboard = Switchboard(bus, gateway, feeds)
    spectators = Spectators(feeds, bus, settings, stop)
    calls = HttpOutside(bus, accounts, clock, courier, routes, settings, feeds)
    agents = Agents(
        AgentOutside(
            bus, accounts, clock, courier, switchboard, feeds, routes, settings, gateway, stop
        )
    )
    app = Gateway(
        make_app(calls),
        agents,
        spectators.events,
        spectators.frames,
        settings.trusted_proxies,
    )
    async with trio.open_nursery() as supplying:
        await supplying.start(courier.run)
        await supplying.start(feeds.run)
        await supplying.start(switchboard.run)
        supplying.start_soon(_beat, bus, gateway, agents, spectators)
        private_port: int = await supplying.start(
            partial(serve_private, metrics_port, partial(missing_now, calls), stop=trio.Event())
        )
        async with trio.open_nursery() as serving:
            serving.start_soon(agents.run)
            serving.start_soon(spectators.run)
            try:
                public_port: int = await serving.start(
                    partial(serve, app, make_config(), host=host, port=port, stop=stop)
                )
            except OSError as error:
                raise Misconfigured(f"cannot listen on {host}:{port}: {error.strerror}") from None
            task_status.started((public_port, private_port))
        supplying.cancel_scope.cancel()


async def _beat(bus: Bus, gateway: GatewayId, agents: Agents, spectators: Spectators) -> None:
    while True:
        beat = GatewayBeat(agents.count, spectators.count)
        with suppress(Trouble), trio.move_on_after(REDIS_SECONDS_MAX):
            await bus.beat(gateway, beat)  # The next one says the same.
        await trio.sleep(BEAT_SECONDS)
