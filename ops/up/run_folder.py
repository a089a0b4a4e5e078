"""``DATA/run``: which process does what, for people and tools; and the lock that keeps DATA ours.

One file a process, ``<role>-<n>.json``: ``{"role", "n", "pid", "port", "metrics_port"?, "name"?}``.
It is there while the process is, give or take a moment; nothing in Tessera decides anything by it
but the supervisor, who waits for a gateway's or shard's file to hear where it listens. Beside them
is ``ops-token``, an operator's token for whoever may read it (``ops.operate.made``).
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import attrs

from common.errors import Misconfigured

TOKEN_FILE = "ops-token"  # noqa: S105 - a file's name.

_CLOCK_SECONDS = 1.0  # The kernel's idea of a birth and of a file's time differ by less.


@attrs.frozen
class Running:
    role: str
    n: int
    pid: int
    port: int | None
    metrics_port: int | None = None
    name: str | None = None
    """What a shard calls itself where it holds a lease."""


def path_of(folder: Path, role: str, n: int) -> Path:
    return folder / f"{role}-{n}.json"


def write(folder: Path, running: Running) -> None:
    """Whole or not at all, also for somebody who reads at the same moment."""
    facts = {
        fact: value
        for fact, value in attrs.asdict(running).items()
        if value is not None or fact == "port"
    }
    path = path_of(folder, running.role, running.n)
    draft = path.with_name(f".{path.name}.{running.pid}")
    draft.write_text(json.dumps(facts) + "\n")
    draft.replace(path)


def read(folder: Path, role: str, n: int) -> Running | None:
    try:
        return Running(**json.loads(path_of(folder, role, n).read_text()))
    except FileNotFoundError:
        return None


def remove(folder: Path, role: str, n: int) -> None:
    path_of(folder, role, n).unlink(missing_ok=True)


@contextmanager
def listed(folder: Path | None, running: Running) -> Iterator[None]:
    """Write the file for as long as the block lasts; no folder, no file."""
    if folder is None:
        yield
        return
    write(folder, running)
    try:
        yield
    finally:
        remove(folder, running.role, running.n)


@contextmanager
def held(data: Path) -> Iterator[Path]:
    """Make ``data`` and its run folder (which is returned), and keep everybody else out.

    Misconfigured when somebody has it, or it cannot be written. The kernel lets go of the lock
    when the process ends, however it ends. Where nothing was kept, nothing is left in the end.
    """
    folder = data / "run"
    new = [place for place in (data, *data.parents) if not place.exists()]
    with _locked(data, folder) as lock:
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        try:
            yield folder
        finally:
            _leave_no_trace(data, new)


def _locked(data: Path, folder: Path) -> TextIO:
    """Open the lock and take it."""
    while True:
        try:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(exist_ok=True)
            lock = open(data / "lock", "a+")  # noqa: SIM115 - the caller's to close.
        except OSError as error:
            raise Misconfigured(
                f"the data folder {data} cannot be used ({error.strerror});"
                " choose another with --data, or correct its permissions"
            ) from None
        try:
            _take(lock.fileno(), data)
            if _is_there(data / "lock", lock.fileno()):
                return lock
        except BaseException:
            lock.close()
            raise
        # Somebody left no trace between our opening and our taking: this one keeps nobody out.
        lock.close()


def _is_there(path: Path, opened: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(opened))
    except FileNotFoundError:
        return False


def _leave_no_trace(data: Path, new: Sequence[Path]) -> None:
    """Remove what is ours when nothing was ever kept here, and the folders that were ``new``."""
    with suppress(OSError):
        if {path.name for path in data.iterdir()} <= {"run", "lock"}:
            if [path.name for path in (data / "run").iterdir()] == [TOKEN_FILE]:
                (data / "run" / TOKEN_FILE).unlink()
            (data / "run").rmdir()  # Not if anybody is listed.
            (data / "lock").unlink()
            for place in new:
                place.rmdir()


def _take(lock: int, data: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = (data / "lock").read_text() or "unknown"
        raise Misconfigured(
            f"another tessera up (process {pid}) is using the data folder {data};"
            " end that one first, or choose another folder with --data"
        ) from None


def survivors(folder: Path) -> frozenset[int]:
    """Return the pids of listed processes that live: of a supervisor that was killed just now."""
    return frozenset(pid for path in folder.glob("*.json") if (pid := _living(path)) is not None)


def clean(folder: Path) -> None:
    """Remove every file; for whoever holds the lock and saw that nobody survived."""
    for leftover in (*folder.glob("*.json"), *folder.glob(".*.json.*")):
        leftover.unlink(missing_ok=True)


def _living(path: Path) -> int | None:
    import psutil  # Of the extra "embedded", which a process of its own does without.

    try:
        pid = int(json.loads(path.read_text())["pid"])
        born = psutil.Process(pid).create_time()
        # Younger than its file: the number belongs to somebody else now.
        return pid if born <= path.stat().st_mtime + _CLOCK_SECONDS else None
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
