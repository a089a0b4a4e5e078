"""Who notices, for thousands of sockets, what their clients do: that they speak, that they go.

One task for all of them, and nothing kept but a call for each. It reads nothing but from those
that we are done with: it waits until the client has read our last words. It needs epoll, which
Linux has: without it (``CAN_LOOK_OUT``) no socket may be handed to it.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NoReturn

import attrs
import trio

from common.limits import LOOKS_AT_ONCE, SWEEP_SECONDS

CAN_LOOK_OUT = hasattr(select, "epoll")

_READ_BYTES = 64 * 1024
_READS_MAX = 4  # In one go, of what a client sends that should send nothing.


@attrs.frozen(eq=False)
class _Leaving:
    sock: socket.socket
    until: float


@attrs.define(eq=False)
class Lookout:
    """Nothing is noticed unless ``run`` is running.

    What happens within ``_gather_seconds`` after something did is noticed together: to wake up for
    each thing apart costs as much again as what is done then.
    """

    _gather_seconds: float = 0.0
    _round: Callable[[], AbstractContextManager[None]] = nullcontext
    """Around all calls for what was noticed together."""
    _epoll: select.epoll = attrs.field(factory=lambda: select.epoll(), init=False)
    _calls: dict[int, Callable[[], None]] = attrs.field(factory=dict, init=False)
    _leaving: dict[int, _Leaving] = attrs.field(factory=dict, init=False)
    _idle: trio.Event = attrs.field(factory=trio.Event, init=False)
    _busy: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def run(self) -> None:
        """Until cancelled; then the sockets that were still leaving are closed."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._sweep)
                await self._look()
        finally:
            for fd in tuple(self._leaving):
                self._close(fd)

    def watch(self, sock: socket.socket, gone: Callable[[], None]) -> None:
        """Call ``gone``, which must not wait, once the client closed its side; until ``forget``.

        What the client sends stays in the kernel, and so does not cost us anything.
        """
        self._epoll.register(sock, select.EPOLLRDHUP)
        self._calls[sock.fileno()] = gone

    def attend(self, sock: socket.socket, ready: Callable[[], None]) -> None:
        """Call ``ready``, which must not wait, when ``expect`` says; at first: what can be read.

        Again and again, until it was read, or the socket is forgotten.
        """
        self._epoll.register(sock, select.EPOLLIN)
        self._calls[sock.fileno()] = ready

    def expect(self, sock: socket.socket, *, words: bool, room: bool) -> None:
        """Call for what can be read, for room to write, or both; for a broken one anyway."""
        events = (select.EPOLLIN if words else 0) | (select.EPOLLOUT if room else 0)
        self._epoll.modify(sock, events)

    def forget(self, sock: socket.socket) -> None:
        """Before ``sock`` is closed; harmless when it is not watched."""
        if self._calls.pop(sock.fileno(), None) is not None:
            self._epoll.unregister(sock)

    def see_off(self, sock: socket.socket, seconds: float) -> None:
        """Close ``sock``, which nobody watches any more, once the client did, or after so long."""
        self._leaving[sock.fileno()] = _Leaving(sock, trio.current_time() + seconds)
        self._busy.set()
        self._epoll.register(sock, select.EPOLLIN | select.EPOLLRDHUP)

    async def wait_idle(self) -> None:
        """Return once nobody is being seen off."""
        while self._leaving:
            self._idle = trio.Event()
            await self._idle.wait()

    async def _look(self) -> NoReturn:
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            while self._notice() and self._gather_seconds:  # noqa: ASYNC110 - not to wake up is it.
                await trio.sleep(self._gather_seconds)

    def _notice(self) -> bool:
        """Whether anything had happened."""
        noticed = self._epoll.poll(0, LOOKS_AT_ONCE)
        with self._round():
            for fd, _ in noticed:
                if fd in self._leaving:
                    self._read(fd)
                elif fd in self._calls:  # Else one before it in this list has ended it.
                    self._calls[fd]()
        return bool(noticed)

    def _read(self, fd: int) -> None:
        """Throw away what came: to close on unread bytes is a reset, and loses our last words."""
        try:
            for _ in range(_READS_MAX):
                if not self._leaving[fd].sock.recv(_READ_BYTES):
                    break
            else:
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._close(fd)

    def _close(self, fd: int) -> None:
        self._epoll.unregister(fd)
        self._leaving.pop(fd).sock.close()
        if not self._leaving:
            self._idle.set()

    async def _sweep(self) -> None:
        while True:
            if not self._leaving:
                self._busy = trio.Event()
                await self._busy.wait()
            await trio.sleep(SWEEP_SECONDS)
            for fd, leaving in tuple(self._leaving.items()):
                if leaving.until <= trio.current_time():
                    self._close(fd)
