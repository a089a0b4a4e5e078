"""``tessera doctor``: look at everything that ``tessera up`` will need, and say what to mend.

One line a check. It changes nothing, and starts nothing but programs that say their version.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import attrs
import click
import trio

from common.errors import Misconfigured
from common.limits import DISK_BYTES_MIN, REACH_SECONDS_MAX
from common.masking import mask
from common.settings import is_set, look_at_settings
from ops.command import read_file

PYTHON_MIN = (3, 11)
PROGRAM_SECONDS_MAX = 10.0  # For a program that only says its version.


@attrs.frozen
class Finding:
    """``advice`` is empty when all is well."""

    what: str
    found: str
    advice: str = ""

    def __str__(self) -> str:
        mark = click.style("wrong", fg="red") if self.advice else click.style("ok   ", fg="green")
        advice = f": {self.advice}" if self.advice else ""
        return f"{mark} {self.what:<14} {mask(self.found)}{advice}"


def examine(environment: Mapping[str, str], port: int, data: Path) -> bool:
    """Print a line for each check; return whether everything is well."""
    healthy = True
    for check in _checks(environment, port, data):
        finding = check()
        click.echo(str(finding))
        healthy = healthy and not finding.advice
    return healthy


def _checks(
    environment: Mapping[str, str], port: int, data: Path
) -> Iterator[Callable[[], Finding]]:
    yield check_python
    yield check_packages
    yield partial(check_settings, environment)
    settings, _ = look_at_settings(environment, read_file)
    # One whose address is wrong is looked at neither there nor here: "settings" says why.
    if settings.database_url is not None:
        yield partial(check_postgres, settings.database_url)
    elif not is_set(environment, "DATABASE_URL"):
        yield check_embedded_postgres
    if settings.redis_url is not None:
        yield partial(check_redis, settings.redis_url)
    elif not is_set(environment, "REDIS_URL"):
        yield check_embedded_redis
    yield partial(check_port, port)
    yield partial(check_data, data)


def check_python() -> Finding:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < PYTHON_MIN:
        return Finding("Python", found, "3.11 or newer is needed")
    return Finding("Python", found)


def check_packages() -> Finding:
    try:
        needed = importlib.metadata.requires("tessera") or []
    except importlib.metadata.PackageNotFoundError:
        return Finding("packages", "tessera itself is not installed", "run make up")
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in needed if "extra" not in line]
    missing = [name for name in names if not _is_installed(name)]
    if missing:
        return Finding("packages", f"{', '.join(missing)} missing", "run make up, which installs")
    return Finding("packages", f"{len(names)} of {len(names)} installed")


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def check_settings(environment: Mapping[str, str]) -> Finding:
    _, wrong = look_at_settings(environment, read_file)
    if wrong:
        return Finding("settings", "; ".join(wrong), "correct them in the environment")
    return Finding("settings", "valid")


def check_embedded_postgres() -> Finding:
    from ops.embedded import postgres

    return _check_program("PostgreSQL", postgres.binary, "DATABASE_URL")


def check_embedded_redis() -> Finding:
    from ops.embedded import valkey

    return _check_program("Valkey", valkey.binary, "REDIS_URL")


def _check_program(what: str, binary: Callable[[], Path], setting: str) -> Finding:
    try:
        answer = subprocess.run(  # noqa: S603 - a program out of our own wheel.
            [binary(), "--version"],
            capture_output=True,
            check=True,
            text=True,
            timeout=PROGRAM_SECONDS_MAX,
        )
    except Misconfigured as error:
        return Finding(what, "not embedded", str(error))
    except (OSError, subprocess.SubprocessError) as error:
        return Finding(
            what, f"its program does not run ({error})", f"set {setting} to a server of yours"
        )
    return Finding(what, f"embedded, {answer.stdout.strip()}")


def check_postgres(url: str) -> Finding:
    from ops.reach import reach_postgres

    try:
        version = trio.run(reach_postgres, url, REACH_SECONDS_MAX)
    except Misconfigured as error:
        return Finding("PostgreSQL", "not reachable", mask(str(error)))
    return Finding("PostgreSQL", f"{version} at {url}")


def check_redis(url: str) -> Finding:
    from ops.reach import reach_redis

    try:
        version = trio.run(reach_redis, url, REACH_SECONDS_MAX)
    except Misconfigured as error:
        return Finding("Redis", "not reachable", mask(str(error)))
    return Finding("Redis", f"{version} at {url}")


def check_port(port: int) -> Finding:
    from ops.up.plan import trouble_with_port

    if trouble := trouble_with_port("127.0.0.1", port):
        return Finding("port", trouble, "choose another with --port, or end who has it")
    return Finding("port", f"{port} is free")


def check_data(data: Path) -> Finding:
    place = next(folder for folder in (data, *data.parents) if folder.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return Finding("data", f"{data} cannot be written", "choose another folder with --data")
    free = shutil.disk_usage(place).free
    found = f"{data}, {free / 2**30:.1f} GiB free"
    if free < DISK_BYTES_MIN:
        return Finding("data", found, "make room, or choose another folder with --data")
    return Finding("data", found)
