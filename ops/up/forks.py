"""Births without imports: our own processes come from one that has imported everything.

Importing is nearly all that a gateway or a shard does to start, a second and more of processor
time each. ``Forks`` keeps a fork server (``ops.up.fork_server``), and has it fork whoever can be
forked; for everybody else, on systems other than Linux, and whenever something is wrong with the
server, a program is started as ``ops.up.child`` does. So nothing hangs on it but time.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs
import structlog
import trio

from common.limits import FORK_SECONDS_MAX, START_SECONDS_MAX
from ops.up.child import Born, Spec, give_birth, interrupts_blocked, tethered
from ops.up.fork_server import GO, READY, Birth
from ops.up.tether import prctl

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_PID_BYTES_MAX = 20

log = structlog.get_logger("tessera.up")


@attrs.define
class Forked:
    """A child that somebody else forked for us; to be waited for once, in the main thread."""

    pid: int
    _handle: int
    _code: int | None = None

    def poll(self) -> int | None:
        if self._code is None:
            # By its handle: its pid may be anybody's as soon as it has been waited for.
            ended = os.waitid(os.P_PIDFD, self._handle, os.WEXITED | os.WNOHANG)
            if ended is not None:
                normally = ended.si_code == os.CLD_EXITED
                self._code = ended.si_status if normally else -ended.si_status
        return self._code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._handle, number)

    async def wait_ended(self) -> int:
        while (code := self.poll()) is None:
            await trio.lowlevel.wait_readable(self._handle)
        os.close(self._handle)
        return code


@attrs.define
class _Server:
    process: subprocess.Popen[bytes]
    socket: socket.socket
    is_ready: bool = False

    async def wait_ready(self) -> None:
        if not self.is_ready:
            await trio.lowlevel.wait_readable(self.socket)
            self.look()

    def look(self) -> None:
        """Hear whether it is ready; OSError: it has ended."""
        if self.is_ready:
            return
        try:
            word = self.socket.recv(len(READY))
        except BlockingIOError:
            return
        if word != READY:
            raise ConnectionResetError("the fork server ended before it was ready")
        self.is_ready = True

    def fork(self, spec: Spec) -> Born:
        """OSError when nobody came of it."""
        birth = Birth(spec.words, {**os.environ, **spec.environment}, spec.death_signal)
        with ExitStack() as if_it_fails, _adopting():
            reading, writing = os.pipe()
            if_it_fails.callback(os.close, reading)
            with os.fdopen(writing, "wb", buffering=0) as output:
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                with theirs:
                    if_it_fails.callback(ours.close)
                    ours.settimeout(FORK_SECONDS_MAX)
                    fds = [output.fileno(), theirs.fileno()]
                    socket.send_fds(self.socket, [birth.encode()], fds)
            pid = ours.recv(_PID_BYTES_MAX)
            if not pid:
                raise ConnectionResetError("the fork server ended")
            handle = os.pidfd_open(int(pid))
            if_it_fails.callback(os.close, handle)
            ours.send(GO)
            if_it_fails.pop_all()
            ours.close()
        return Born(Forked(int(pid), handle), trio.lowlevel.FdStream(reading))

    def end(self) -> None:
        self.process.kill()  # It has nothing to put in order.
        self.process.wait()
        self.socket.close()


@attrs.define
class Forks:
    """Where children come from."""

    _data: Path
    _server: _Server | None = None

    async def wait_ready(self) -> None:
        """Wait until births are quick; not for ever, and not for a server that failed."""
        if self._server is not None:
            with trio.move_on_after(START_SECONDS_MAX):
                try:
                    await self._server.wait_ready()
                except OSError as error:
                    self._renew(error)

    def give_birth(self, spec: Spec) -> Born:
        """Start it. From the main thread only, as ``ops.up.child.give_birth``."""
        if spec.words and self._server is not None:
            try:
                self._server.look()
                if self._server.is_ready:
                    return self._server.fork(spec)
            except OSError as error:
                self._renew(error)
        return give_birth(spec)

    def start(self) -> None:
        if sys.platform == "linux":
            self._server = _start(self._data)

    def end(self) -> None:
        if self._server is not None:
            self._server.end()
            self._server = None

    def _renew(self, error: OSError) -> None:
        log.warning("the fork server is started again", error=str(error))
        self.end()
        self.start()


@contextmanager
def forks(data: Path) -> Iterator[Forks]:
    """Have a fork server for as long as the block lasts."""
    source = Forks(data)
    source.start()
    try:
        yield source
    finally:
        source.end()


def _start(data: Path) -> _Server:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)  # It has room for births; if not, something is wrong with the server.
    words = ("-P", "-m", "ops.up.fork_server", str(os.getpid()), str(data))
    with theirs, interrupts_blocked():
        process = subprocess.Popen(  # noqa: S603 - our own words, and no shell.
            tethered((sys.executable, *words), signal.SIGKILL, None, "later"),
            env={**os.environ, "PYTHONUNBUFFERED": "1"},  # A child's output is a pipe.
            stdin=theirs.fileno(),
            start_new_session=True,
        )
    return _Server(process, ours)


@contextmanager
def _adopting() -> Iterator[None]:
    """Meanwhile descendants whose parents end become our children, not those of process 1."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0)
