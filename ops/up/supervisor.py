"""``tessera up``: the whole world on one machine, from nothing to an address, and back to nothing.

Servers, then shards and gateways, then bots: each stage is a block inside the one before, so
whatever ends it (a signal, an error, half-way up) it comes down in the opposite order, by
itself, within STOP_SECONDS_MAX. Errors leave as common.errors; the caller words them.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import structlog
import trio

from common.errors import Trouble
from common.limits import (
    BOTS_ENDED_SECONDS,
    GATEWAYS_ENDED_SECONDS,
    REACH_SECONDS_MAX,
    SERVERS_ENDED_SECONDS,
    SHARDS_ENDED_SECONDS,
    START_SECONDS_MAX,
    SURVIVORS_SECONDS_MAX,
)
from common.settings import Settings
from ops.embedded.launch import Launch
from ops.up import run_folder
from ops.up.keeper import kept
from ops.up.plan import Plan, check_ports
from ops.up.screen import Screen

if TYPE_CHECKING:
    from ops.up.forks import Forks

log = structlog.get_logger("tessera.up")


async def up(plan: Plan, settings: Settings, screen: Screen) -> None:
    """Run the world until SIGINT, SIGTERM or SIGHUP; then everything has ended."""
    async with _until_told() as ending:
        with _forgiven(ending), run_folder.held(plan.data) as folder:
            async with screen.step("Waiting for the processes of a tessera that was killed"):
                await _outlive_survivors(folder)
            check_ports(plan)
            await _World(plan, settings, screen, folder, ending).run()


@attrs.define
class _Ending:
    """When the end began; the stages' deadlines hang on it."""

    began: float | None = None
    told: bool = False
    """Whether a signal wished it; else something went wrong."""

    def begin(self) -> float:
        if self.began is None:
            self.began = trio.current_time()
        return self.began

    def after(self, seconds: float) -> Callable[[], float]:
        return lambda: self.begin() + seconds


@contextmanager
def _forgiven(ending: _Ending) -> Iterator[None]:
    """Whoever was told to end has nothing to complain about: Ctrl-C may have hit its helpers."""
    try:
        yield
    except* (Trouble, OSError):  # asyncpg leaves a bare one when it is cancelled while it connects.
        if not ending.told:
            raise


@asynccontextmanager
async def _until_told() -> AsyncIterator[_Ending]:
    """Cancel the block at the first signal; more of them change nothing."""
    ending = _Ending()
    wanted = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        wanted.append(signal.SIGHUP)
    with trio.open_signal_receiver(*wanted) as signals:
        async with trio.open_nursery() as listening:
            with trio.CancelScope() as world:
                listening.start_soon(_listen, signals, ending, world)
                yield ending
            listening.cancel_scope.cancel()


async def _listen(signals: AsyncIterator[int], ending: _Ending, world: trio.CancelScope) -> None:
    async for _ in signals:
        ending.begin()
        ending.told = True
        world.cancel()


async def _outlive_survivors(folder: Path) -> None:
    with trio.move_on_after(SURVIVORS_SECONDS_MAX):
        while run_folder.survivors(folder):  # noqa: ASYNC110 - they are nobody's to report.
            await trio.sleep(0.05)
    run_folder.clean(folder)


@attrs.frozen
class _Servers:
    """Where they are. ``launches`` are those that we have to start."""

    database_url: str
    redis_url: str
    launches: Sequence[Launch]


@attrs.frozen
class _World:
    plan: Plan
    settings: Settings
    screen: Screen
    folder: Path
    ending: _Ending

    async def run(self) -> None:
        from ops.up.forks import forks

        with forks(self.plan.data) as births:
            await self._run(births)

    async def _run(self, births: Forks) -> None:
        servers = await self._prepare()
        specs = [self.plan.server(launch) for launch in servers.launches]
        async with kept(
            specs, self.folder, self.screen.relay, self.ending.after(SERVERS_ENDED_SECONDS)
        ):
            await self._lay_out(servers)
            await self._run_processes(servers, births)

    async def _prepare(self) -> _Servers:
        from ops.embedded import postgres, valkey

        launches: dict[str, Launch] = {}

        async def prepare(make: Callable[[], Launch]) -> None:
            launch = await trio.to_thread.run_sync(make)
            launches[launch.role] = launch

        async with self.screen.step("Preparing the database"), trio.open_nursery() as nursery:
            if self.settings.database_url is None:
                place, heed = self.plan.data / "postgres", trio.from_thread.check_cancelled
                nursery.start_soon(prepare, partial(postgres.prepare, place, heed))
            if self.settings.redis_url is None:
                nursery.start_soon(prepare, partial(valkey.prepare, self.plan.data / "redis"))
        return _Servers(
            self.settings.database_url or launches["postgres"].url,
            self.settings.redis_url or launches["redis"].url,
            tuple(launches.values()),
        )

    async def _lay_out(self, servers: _Servers) -> None:
        """Reach both servers, and bring the database to what this version expects."""
        from ops.migrate import migrate, set_shard_count
        from ops.operate.made import keep_token
        from ops.reach import reach_redis

        ours = {launch.role for launch in servers.launches}

        async def lay_out_database() -> None:
            for name in await migrate(
                servers.database_url, patience_seconds=_patience("postgres", ours)
            ):
                log.info("migrated", migration=name)
            await set_shard_count(servers.database_url, self.plan.shards)
            await keep_token(servers.database_url, self.settings.hashing_keys, self.folder)

        async with self.screen.step("Reaching the servers"), trio.open_nursery() as nursery:
            nursery.start_soon(lay_out_database)
            nursery.start_soon(reach_redis, servers.redis_url, _patience("redis", ours))

    async def _run_processes(self, servers: _Servers, births: Forks) -> None:
        from ops.up.fleet import a_fleet
        from ops.up.ready import all_ready

        urls = (servers.database_url, servers.redis_url)
        gateways, folder, relay = self.plan.gateway_specs(*urls), self.folder, self.screen.relay
        await births.wait_ready()
        async with (
            a_fleet(
                self.plan.shards,
                self.plan.spares,
                partial(self.plan.shard_spec, *urls),
                folder,
                relay,
                births.give_birth,
                self.ending.after(SHARDS_ENDED_SECONDS),
                self.settings.drain_seconds,
            ) as fleet,
            kept(
                gateways,
                folder,
                relay,
                self.ending.after(GATEWAYS_ENDED_SECONDS),
                births.give_birth,
            ) as gateway_keepers,
        ):
            async with self.screen.step("Starting shards and gateways"):
                await all_ready([*fleet.keepers, *gateway_keepers])
            async with kept(
                self.plan.bots_specs(),
                folder,
                relay,
                self.ending.after(BOTS_ENDED_SECONDS),
                births.give_birth,
            ):
                self._say_hello()
                await fleet.follow(servers.database_url)

    def _say_hello(self) -> None:
        url = f"{self.plan.url}/"
        self.screen.say(f"Tessera is up: {url}   (Ctrl-C ends it)", url=url)


def _patience(role: str, ours: set[str]) -> float:
    return START_SECONDS_MAX if role in ours else REACH_SECONDS_MAX
