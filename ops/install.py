"""``make``'s step from an empty .venv to a full one: pip, with a few lines of progress.

It runs before anything is installed, so it knows the standard library alone. All that pip says is
kept in a file; when it fails, what went wrong is said, and where the rest is.
"""

from __future__ import annotations

import math
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TextIO

SAY_SECONDS = 5.0  # A person who watches wants to see that it goes on.
ERROR_LINES = 12  # Of pip's last words: the error, and what it says about it.

_BEGUN = re.compile(r"(Collecting|Requirement already satisfied:) (\S+)")
_PINNED = re.compile(r"^[A-Za-z0-9][\w.-]*==", re.MULTILINE)


def install(python: str, lock: Path, log: Path) -> int:
    """Install ``lock`` and the project; return the exit code."""
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]
    steps = [
        [*pip, "--progress-bar", "off", "--require-hashes", "--requirement", str(lock)],
        [*pip, "--no-build-isolation", "--quiet", "--editable", "."],
    ]
    total = len(_PINNED.findall(lock.read_text(encoding="utf-8")))
    with log.open("w", encoding="utf-8") as kept:
        for words in steps:
            with subprocess.Popen(  # noqa: S603 - our own words, and no shell.
                words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
            ) as process:
                assert process.stdout is not None
                said = list(_told(_kept(process.stdout, kept), total, time.monotonic))
            if process.returncode != 0:
                print("\n".join(causes(said)), file=sys.stderr)
                print(
                    f"Not everything is installed; all that pip said is in {log}", file=sys.stderr
                )
                return 2
    return 0


def causes(said: list[str]) -> list[str]:
    """The lines that say what went wrong, with what follows; the last ones if none says so."""
    first = next((at for at, line in enumerate(said) if line.startswith("ERROR")), -ERROR_LINES)
    return said[first:][:ERROR_LINES]


def _kept(output: Iterable[str], log: TextIO) -> Iterator[str]:
    for line in output:
        log.write(line)
        yield line.rstrip()


def _told(said: Iterable[str], total: int, now: Callable[[], float]) -> Iterator[str]:
    """Pass ``said`` on; every SAY_SECONDS print how far it is."""
    due, seen = now() + SAY_SECONDS, 0
    for line in said:
        seen += bool(_BEGUN.match(line))
        if line.startswith("Installing collected packages"):
            print(f"   installing {seen} packages", flush=True)
            due = math.inf
        elif now() >= due:
            print(f"   {seen} of {total} packages fetched", flush=True)
            due = now() + SAY_SECONDS
        yield line


if __name__ == "__main__":
    sys.exit(install(sys.executable, Path("requirements.lock"), Path(sys.prefix, "pip.log")))
