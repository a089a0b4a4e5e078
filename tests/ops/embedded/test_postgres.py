"""The embedded PostgreSQL starts where others would trip, and says clearly when it must not."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import psutil
import pytest
import trio
import trio_asyncio

from common.errors import Misconfigured
from ops.embedded import postgres
from ops.embedded.launch import Launch

pytestmark = pytest.mark.embedded


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's tmp_path: pytest closes it to the user that PostgreSQL runs as.
    with TemporaryDirectory(prefix="tessera-") as name:
        yield Path(name) / "postgres"


@contextmanager
def started(launch: Launch) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        launch.argv, user=launch.user, group=launch.user, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(launch.stop_signal)
            try:
                process.wait(10)
            finally:
                process.kill()  # Nothing, if it has ended.


async def answer(url: str, query: str) -> object:
    """What the server says to ``query``, as soon as it is up."""
    connection = await wait_connected(url)
    try:
        return await trio_asyncio.aio_as_trio(connection.fetchval)(query)
    finally:
        await trio_asyncio.aio_as_trio(connection.close)()


async def wait_connected(url: str) -> asyncpg.Connection[asyncpg.Record]:
    deadline = time.monotonic() + 20
    connection: asyncpg.Connection[asyncpg.Record] | None = None
    while connection is None:
        try:
            connection = await trio_asyncio.aio_as_trio(asyncpg.connect)(url)
        except (OSError, asyncpg.CannotConnectNowError):
            assert time.monotonic() < deadline
            await trio.sleep(0.02)
    return connection


async def test_a_fresh_folder_becomes_a_server_that_answers(folder: Path) -> None:
    launch = postgres.prepare(folder)
    with started(launch):
        async with trio_asyncio.open_loop():
            assert await answer(launch.url, "select 1") == 1


async def test_what_was_written_is_there_when_it_is_started_again(folder: Path) -> None:
    async with trio_asyncio.open_loop():
        launch = postgres.prepare(folder)
        with started(launch):
            await answer(launch.url, "create table kept as select 7 as n")
        launch = postgres.prepare(folder)
        with started(launch):
            assert await answer(launch.url, "select n from kept") == 7


async def test_a_commit_is_on_the_disk_before_it_is_answered(folder: Path) -> None:
    launch = postgres.prepare(folder)
    # Somebody who wanted it faster once:
    with (folder / "data" / "postgresql.conf").open("a") as configuration:
        configuration.write("fsync = off\nsynchronous_commit = off\n")
    with started(launch):
        async with trio_asyncio.open_loop():
            assert await answer(launch.url, "show fsync") == "on"
            assert await answer(launch.url, "show synchronous_commit") == "on"


async def test_nobody_comes_in_without_the_password(folder: Path) -> None:
    launch = postgres.prepare(folder)
    with started(launch):
        async with trio_asyncio.open_loop():
            await answer(launch.url, "select 1")
            stranger = f"postgresql://postgres:guess@127.0.0.1:{launch.port}/postgres"
            with pytest.raises(asyncpg.InvalidPasswordError):
                await answer(stranger, "select 1")


async def test_only_this_machine_can_reach_it(folder: Path) -> None:
    launch = postgres.prepare(folder)
    with started(launch) as process:
        async with trio_asyncio.open_loop():
            await answer(launch.url, "select 1")
        listening = [
            connection.laddr.ip
            for connection in psutil.Process(process.pid).net_connections()
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening == ["127.0.0.1"]


def test_the_password_and_the_data_are_for_nobody_else(folder: Path) -> None:
    postgres.prepare(folder)
    assert stat.S_IMODE((folder / "password").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "data").stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.stat().st_mode) & 0o066 == 0


async def test_a_client_that_stays_does_not_keep_it_from_stopping(folder: Path) -> None:
    launch = postgres.prepare(folder)
    with started(launch) as process:
        async with trio_asyncio.open_loop():
            await answer(launch.url, "select 1")
            staying = await trio_asyncio.aio_as_trio(asyncpg.connect)(launch.url)
            process.send_signal(launch.stop_signal)
            # In a thread, so that the connection that stays is still served.
            assert await trio.to_thread.run_sync(process.wait, 5) == 0
            staying.terminate()


async def test_a_killed_server_leaves_nothing_in_the_way(folder: Path) -> None:
    launch = postgres.prepare(folder)
    async with trio_asyncio.open_loop():
        with started(launch) as process:
            await answer(launch.url, "create table kept as select 7 as n")
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        assert (folder / "data" / "postmaster.pid").exists()
        launch = postgres.prepare(folder)
        with started(launch):
            assert await answer(launch.url, "select n from kept") == 7


def test_a_pid_file_that_names_another_program_is_removed(folder: Path) -> None:
    postgres.prepare(folder)
    stale = folder / "data" / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{folder / 'data'}\n")
    postgres.prepare(folder)
    assert not stale.exists()


async def test_a_folder_with_a_running_server_is_refused(folder: Path) -> None:
    launch = postgres.prepare(folder)
    with started(launch):
        async with trio_asyncio.open_loop():
            await answer(launch.url, "select 1")
            with pytest.raises(Misconfigured, match=r"runs on .* already"):
                postgres.prepare(folder)
            assert await answer(launch.url, "select 1") == 1


def test_data_of_another_version_is_refused_in_one_line(folder: Path) -> None:
    postgres.prepare(folder)
    (folder / "data" / "PG_VERSION").write_text("16\n")
    with pytest.raises(Misconfigured, match="written by PostgreSQL 16") as refused:
        postgres.prepare(folder)
    assert "\n" not in str(refused.value)


def test_an_interrupted_first_start_is_done_again(folder: Path) -> None:
    half_made = folder / "data.new"
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18\n")
    postgres.prepare(folder)
    assert not half_made.exists()
    assert (folder / "data" / "global" / "pg_control").exists()


class Told(Exception):
    """To end."""


def test_who_is_told_to_end_leaves_no_initdb_behind(folder: Path) -> None:
    calls = 0

    def heed() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Told

    with pytest.raises(Told):
        postgres.prepare(folder, heed)

    assert not (folder / "data").exists()
    assert not (folder / "data.new" / "base" / "5").exists()  # initdb's last deed.
    deadline = time.monotonic() + 5
    while _works_on(folder):
        assert time.monotonic() < deadline
    postgres.prepare(folder)


def _works_on(folder: Path) -> bool:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(str(folder) in word for word in process.cmdline()):
                return True
    return False


def test_the_port_is_one_that_nobody_has(folder: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", postgres.prepare(folder).port))
