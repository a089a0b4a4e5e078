"""One process that the supervisor starts: what it is, its birth, and its output.

It does not start anything again (``ops.up.keeper`` does). Each is in a session of its own, so
that a Ctrl-C in the terminal reaches the supervisor alone, which then ends them in order; and
each is tied to the supervisor's life (``ops.up.tether``).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, Protocol

import attrs
import trio

from common.limits import LOG_LINE_BYTES_MAX

_TETHER = Path(__file__).with_name("tether.py")
_READ_BYTES = 65_536  # What a pipe holds.


@attrs.frozen
class Spec:
    """What to run. ``ours`` writes its own run file and says itself when it is ready."""

    role: str
    n: int
    argv: tuple[str, ...]
    environment: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """On top of the supervisor's own."""
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    """What it gets when the supervisor is gone: quick first, kind second."""
    port: int | None = None
    routine: tuple[bytes, ...] = ()
    """What lines have in them that nobody wants to see, unless it dies."""
    ours: bool = False
    words: tuple[str, ...] = ()
    """What ``tessera`` is told, where ``argv`` is that; so it can be forked (``ops.up.forks``)."""

    @property
    def name(self) -> str:
        return f"{self.role}-{self.n}"


class Process(Protocol):
    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None:
        """Return its exit code, negative for a signal; None while it lives."""

    def send_signal(self, number: signal.Signals) -> None:
        """Does nothing once it has been waited for."""

    async def wait_ended(self) -> int:
        """Return its exit code; may be asked once."""


@attrs.frozen
class Born:
    process: Process
    output: trio.abc.ReceiveStream
    """Standard output and standard error; it ends with the last process that holds it."""

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def wait_ended(self) -> int:
        return await self.process.wait_ended()

    def kill(self) -> None:
        """End it and all of its own children that stayed in its group."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


@attrs.frozen
class _Executed:
    _popen: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self._popen.pid

    def poll(self) -> int | None:
        return self._popen.poll()

    def send_signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    async def wait_ended(self) -> int:
        """Cancelled, a thread waits on until it has ended."""
        wait = self._popen.wait
        return await trio.to_thread.run_sync(wait, abandon_on_cancel=True, limiter=_UNLIMITED)


_UNLIMITED = trio.CapacityLimiter(float("inf"))  # A thread a child, and children are few.


def give_birth(spec: Spec) -> Born:
    """Start it. From the main thread only: the kernel takes the thread that did for the parent."""
    reading, writing = os.pipe()
    try:
        with interrupts_blocked():
            popen = subprocess.Popen(  # noqa: S603 - our own words, and no shell.
                tethered(spec.argv, spec.death_signal, spec.user, "later" if spec.ours else "now"),
                env={**os.environ, **spec.environment},
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    return Born(_Executed(popen), trio.lowlevel.FdStream(reading))


def tethered(
    argv: Sequence[str],
    death_signal: signal.Signals,
    user: str | None,
    interrupts: Literal["now", "later"] = "now",
) -> tuple[str, ...]:
    """What to run so that ``argv`` runs as ``user`` and ends with the thread that started it.

    ``interrupts``: whether a SIGINT gets through at once, or when the program asks for it: in
    Python's first moments it would be a traceback.
    """
    promise = (str(os.getpid()), str(int(death_signal)), user or "-", interrupts)
    return (sys.executable, "-I", "-S", str(_TETHER), *promise, *argv)


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Inherited by what is started meanwhile; the tether lets them through when it can.

    Before that a SIGINT (the stop signal of PostgreSQL and of shards) would be a traceback of the
    tether's Python; and those of ours let it through themselves (``ops.early``).
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


async def lines(stream: trio.abc.ReceiveStream) -> AsyncGenerator[bytes, None]:
    """The lines of ``stream``, without their ends; one that is too long comes in pieces."""
    pending = b""
    while chunk := await stream.receive_some(_READ_BYTES):
        *whole, pending = (pending + chunk).split(b"\n")
        for line in whole:
            yield line
        if len(pending) > LOG_LINE_BYTES_MAX:
            yield pending
            pending = b""
    if pending:
        yield pending
