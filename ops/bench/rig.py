"""The processes under measure: embedded servers of our own, and a shard and gateway on them.

Everything is in one temporary folder and tied to our life. Limits of the gateway are off: they are
not what is measured. It decides nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from shutil import rmtree
from urllib.parse import urlsplit

import attrs
import trio
from trio_asyncio import aio_as_trio

from common.adapters.postgres import Postgres, connect, open_postgres
from common.adapters.redis import Redis, open_redis
from common.errors import Unavailable
from common.limits import START_SECONDS_MAX
from ops.bench.meter import Account, Usage, account, usage
from ops.chaos.cluster import HOST, SETTINGS, free_ports
from ops.embedded import postgres, valkey
from ops.migrate import migrate
from ops.up import run_folder
from ops.up.child import Born, Spec, give_birth
from ops.up.plan import Plan

SEED = 7  # Of every world here: the same land each time.
STOP_SECONDS_MAX = 6.0  # They have promised five.
LOOK_SECONDS = 0.05


@attrs.frozen
class Process:
    """One that is measured."""

    role: str
    pid: int
    metrics_port: int | None = None

    def usage(self) -> Usage:
        return usage(self.pid)

    async def account(self) -> Account:
        assert self.metrics_port is not None
        return await account(self.metrics_port)

    async def wait_until(self, is_so: Callable[[Account], bool]) -> None:
        """Return once it says of itself that ``is_so``; it has to be asked again and again."""
        while True:
            if is_so(await self.account()):
                return
            await trio.sleep(LOOK_SECONDS)


@attrs.frozen
class Site:
    """A world with nothing in it yet: where it is, and ways to write into it."""

    plan: Plan
    database_url: str
    redis_url: str
    postgres: Postgres
    redis: Redis

    @property
    def url(self) -> str:
        """Of the gateway."""
        return self.plan.url


@attrs.frozen
class Rig:
    folder: Path
    database: Process
    redis: Process
    _database_url: str
    _redis_url: str

    @asynccontextmanager
    async def site(self, name: str, gateways: int = 1) -> AsyncIterator[Site]:
        """A database and a Redis with nothing in them; a block of its own each."""
        await _execute(self._database_url, f"create database {name}")
        url = urlsplit(self._database_url)._replace(path=f"/{name}").geturl()
        await migrate(url, SEED)
        data = self.folder / name
        (data / "run").mkdir(parents=True)
        plan = Plan(HOST, free_ports(gateways), gateways, 1, 0, data, "json")
        async with open_postgres(url) as store, open_redis(self._redis_url) as redis:
            await redis.command("FLUSHALL")
            yield Site(plan, url, self._redis_url, store, redis)

    @asynccontextmanager
    async def shard(
        self, site: Site, settings: Mapping[str, str] | None = None
    ) -> AsyncIterator[Process]:
        (spec,) = site.plan.shard_specs(site.database_url, site.redis_url)
        set_so = attrs.evolve(spec, environment={**spec.environment, **(settings or {})})
        async with _running(site, set_so) as process:
            yield process

    @asynccontextmanager
    async def gateway(
        self, site: Site, n: int = 0, settings: Mapping[str, str] | None = None
    ) -> AsyncIterator[Process]:
        """The ``n``-th one of the site."""
        spec = site.plan.gateway_specs(site.database_url, site.redis_url)[n]
        environment = {**spec.environment, **dict.fromkeys(SETTINGS, "0"), **(settings or {})}
        free = attrs.evolve(spec, environment=environment)
        async with _running(site, free) as process:
            yield process


@asynccontextmanager
async def a_rig() -> AsyncIterator[Rig]:
    """Start the servers; they end with the block."""
    # Not where only we may enter: PostgreSQL runs as another user when we are root.
    folder = Path(tempfile.mkdtemp(prefix="tessera-bench-"))
    try:
        store = await trio.to_thread.run_sync(postgres.prepare, folder / "postgres")
        redis = valkey.prepare(folder / "redis")
        plan = Plan(HOST, 1, 1, 1, 0, folder, "json")
        async with (
            _child(plan.server(store), folder) as database,
            _child(plan.server(redis), folder) as streams,
        ):
            await migrate(store.url, SEED, START_SECONDS_MAX)  # It is up when this is done.
            yield Rig(
                folder,
                Process("postgres", database.process.pid),
                Process("redis", streams.process.pid),
                store.url,
                redis.url,
            )
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(partial(rmtree, folder, ignore_errors=True))


@asynccontextmanager
async def _running(site: Site, spec: Spec) -> AsyncIterator[Process]:
    """One of ours, from when it says that it serves."""
    async with _child(spec, site.plan.data) as born:
        process = await _wait_listed(site, spec, born)
        try:
            yield process
        except Exception as error:
            error.add_note(f"{spec.name} wrote: {_last_words(site.plan.data, spec)}")
            raise


async def _wait_listed(site: Site, spec: Spec, born: Born) -> Process:
    with trio.move_on_after(START_SECONDS_MAX):
        while born.process.poll() is None:
            found = run_folder.read(site.plan.data / "run", spec.role, spec.n)
            if found is not None:
                return Process(spec.role, found.pid, found.metrics_port)
            await trio.sleep(LOOK_SECONDS)
    raise Unavailable(f"{spec.name} did not start: {_last_words(site.plan.data, spec)}")


def _last_words(folder: Path, spec: Spec) -> str:
    return (folder / f"{spec.name}.log").read_text(errors="replace")[-2_000:]


@asynccontextmanager
async def _child(spec: Spec, folder: Path) -> AsyncIterator[Born]:
    born = give_birth(spec)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_keep_log, born, folder / f"{spec.name}.log")
            try:
                yield born
            finally:
                with trio.CancelScope(shield=True):
                    await _end(born, spec)
                nursery.cancel_scope.cancel()
    finally:
        born.kill()


async def _end(born: Born, spec: Spec) -> None:
    born.signal(spec.stop_signal)
    with trio.move_on_after(STOP_SECONDS_MAX):
        await born.wait_ended()


async def _keep_log(born: Born, path: Path) -> None:
    async with await trio.open_file(path, "ab", buffering=0) as log:
        async for piece in born.output:
            await log.write(piece)


async def _execute(url: str, statement: str) -> None:
    connection = await connect(url)
    try:
        await aio_as_trio(connection.execute)(statement)
    finally:
        connection.terminate()
