"""The embedded servers that contract tests share: one of each a test run, made on first use."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import attrs
import pytest
import trio
from hypothesis import settings

from ops.embedded import postgres, valkey
from ops.embedded.launch import Launch
from ops.migrate import migrate

START_SECONDS_MAX = 30.0

# How long an example takes says more of what else the machine does.
settings.register_profile("tessera", deadline=None)
settings.load_profile("tessera")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first: begun last, it would leave the other workers with nothing."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """An empty PostgreSQL server; tests make their own databases in it."""
    with a_folder() as folder:
        launch = postgres.prepare(folder)
        # Each test makes a database, which is mostly waiting for the disk; no power fails here.
        careless = attrs.evolve(launch, argv=(*launch.argv, "-c", "fsync=off"))
        with running(careless) as url:
            yield url


@pytest.fixture(scope="session")
def template_url(postgres_url: str) -> str:
    """A database with our schema and nothing in it, for ``database_url`` to copy."""
    asyncio.run(_execute(postgres_url, "create database template_tessera"))
    url = _with_database(postgres_url, "template_tessera")
    trio.run(partial(migrate, url, seed=7))
    return url


@pytest.fixture
def database_url(postgres_url: str, template_url: str) -> Iterator[str]:
    """A fresh, migrated database of seed 7, and one shard."""
    name = f"test_{uuid4().hex}"
    asyncio.run(_execute(postgres_url, f"create database {name} template template_tessera"))
    yield _with_database(postgres_url, name)
    asyncio.run(_execute(postgres_url, f"drop database {name} with (force)"))


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Valkey server; tests flush it before they start."""
    with running(valkey.prepare(tmp_path_factory.mktemp("valkey"))) as url:
        yield url


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder for ``tessera up`` that is not there yet."""
    with a_folder() as folder:
        yield folder / "data"


@contextmanager
def a_folder() -> Iterator[Path]:
    """Not one of pytest's: it closes its own to the user that PostgreSQL runs as."""
    with TemporaryDirectory(prefix="tessera-") as folder:
        yield Path(folder)


@contextmanager
def running(launch: Launch) -> Iterator[str]:
    process = subprocess.Popen(
        launch.argv,
        user=launch.user,
        group=launch.user,  # Else root's, whom many a folder lets in.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_it_listens(launch.port, process)
        yield launch.url
    finally:
        process.send_signal(launch.stop_signal)
        try:
            process.wait(10)
        finally:
            process.kill()  # Nothing, if it has ended.


def _with_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()


async def _execute(url: str, statement: str) -> None:
    """Waits for a server that listens already and does not answer yet."""
    deadline = time.monotonic() + START_SECONDS_MAX
    connection: asyncpg.Connection[asyncpg.Record] | None = None
    while connection is None:
        try:
            connection = await asyncpg.connect(url)
        except asyncpg.CannotConnectNowError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _wait_until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the server ended with {process.returncode}"
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on port {port} after {START_SECONDS_MAX} s")
