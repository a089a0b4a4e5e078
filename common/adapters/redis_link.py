"""One connection to Redis: redis-py makes it, and trio waits for what goes over it.

redis-py reads the address, connects, and says who we are (TLS, names and passwords, the number of
the database), in a thread, which is rare. What is often stays out of asyncio: hiredis packs and
reads, and the socket is trio's to wait for; that costs a third (``ops/decisions/agents.md``). It
knows no command, pools nothing, and sets no deadline: callers do. A link that was left in the
middle of something is of no use any more, and theirs to close.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from functools import partial
from typing import TypeAlias

import hiredis
import redis.exceptions
import trio
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, ConnectionInterface, ConnectionPool
from redis.retry import Retry

from common.limits import REDIS_SECONDS_MAX

Word: TypeAlias = str | bytes | int | float
Reply: TypeAlias = int | bytes | list["Reply"] | None

_READ_BYTES = 64 * 1024
_NOTHING = object()  # hiredis says so when a reply is not whole yet.
_FULL = (BlockingIOError, ssl.SSLWantWriteError)
_EMPTY = (BlockingIOError, ssl.SSLWantReadError)


class LinkLost(Exception):
    """There is no connection, or not any more."""


class RefusedByRedis(Exception):
    """An error reply; the connection is as good as before."""

    @property
    def code(self) -> str:
        """Its first word: ``NOSCRIPT``, ``OOM``, ``ERR`` ..."""
        return str(self).partition(" ")[0]


class Address:
    """Where Redis is, and how to get in. ValueError when ``url`` can't name one."""

    def __init__(self, url: str) -> None:
        # It reads the address; what it would pool it also counts, and ends at some number.
        pool = ConnectionPool.from_url(
            url,
            protocol=2,  # Plain lists; nothing is pushed in between.
            socket_connect_timeout=REDIS_SECONDS_MAX,
            socket_timeout=REDIS_SECONDS_MAX,  # Of the greeting; afterwards we wait ourselves.
            retry=Retry(NoBackoff(), 0),  # Who calls decides about that.
            driver_info=None,  # Two commands less, which tell nobody anything.
        )
        self._make = partial(pool.connection_class, **pool.connection_kwargs)
        try:
            self._make()  # Which refuses words that nobody knows.
        except (redis.exceptions.RedisError, TypeError) as error:
            raise ValueError(str(error)) from None

    async def connect(self) -> Link:
        """LinkLost, also when Redis does not want us."""
        connection = self._make()
        attempt = _Attempt(connection)
        try:
            await trio.to_thread.run_sync(attempt.make, abandon_on_cancel=True)
        except (redis.exceptions.RedisError, OSError) as error:
            raise LinkLost(str(error) or type(error).__name__) from error
        except BaseException:
            attempt.abandon()
            raise
        return Link(connection)


class _Attempt:
    """A thread that nobody waits for any more must not leave its connection open."""

    def __init__(self, connection: ConnectionInterface) -> None:
        self._connection = connection
        self._turn = threading.Lock()
        self._is_abandoned = False

    def make(self) -> None:
        self._connection.connect()  # type: ignore[no-untyped-call]  # redis-py gives it no types.
        with self._turn:
            if self._is_abandoned:
                _hang_up(self._connection)

    def abandon(self) -> None:
        with self._turn:
            self._is_abandoned = True
            _hang_up(self._connection)


class Link:
    """One task writes at a time, and one reads."""

    def __init__(self, connection: ConnectionInterface) -> None:
        assert isinstance(connection, AbstractConnection)
        sock = connection._get_socket()
        assert sock is not None, "it has just been connected"
        sock.setblocking(False)
        self._connection = connection
        self._sock: socket.socket = sock
        self._reader = hiredis.Reader(
            protocolError=LinkLost, replyError=RefusedByRedis, notEnoughData=_NOTHING
        )
        self._is_open = True

    async def send(self, data: bytes) -> None:
        """Up to what the kernel takes at once it does not give way, so order is kept."""
        rest = memoryview(data)
        try:
            while rest:
                try:
                    rest = rest[self._sock.send(rest) :]
                except _FULL:
                    await trio.lowlevel.wait_writable(self._sock)
        except (OSError, trio.ClosedResourceError) as error:
            raise LinkLost(str(error) or "it was closed here") from error

    async def read(self) -> Reply:
        """The next reply; RefusedByRedis when it is an error."""
        while (reply := self._reader.gets()) is _NOTHING:
            data = await self._receive()
            if not data:
                raise LinkLost("Redis closed the connection")
            self._reader.feed(data)
        if isinstance(reply, Exception):
            raise reply
        said: Reply = reply
        return said

    async def _receive(self) -> bytes:
        try:
            while True:
                if not self._has_deciphered():
                    await trio.lowlevel.wait_readable(self._sock)
                with contextlib.suppress(*_EMPTY):
                    return self._sock.recv(_READ_BYTES)
        except (OSError, trio.ClosedResourceError) as error:
            raise LinkLost(str(error) or "it was closed here") from error

    def _has_deciphered(self) -> bool:
        """Whether TLS holds something ready that the kernel knows nothing of."""
        return isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0

    @property
    def is_idle(self) -> bool:
        """Whether it is open at the other end too, and nothing comes that nobody asked for."""
        if not self._is_open or self._reader.has_data():
            return False
        look = select.poll()
        look.register(self._sock, select.POLLIN)
        return not look.poll(0)

    def close(self) -> None:
        """Now, without a word; harmless when it is closed. Who waits for it hears LinkLost."""
        if self._is_open:
            self._is_open = False
            trio.lowlevel.notify_closing(self._sock)
            _hang_up(self._connection)


def _hang_up(connection: ConnectionInterface) -> None:
    connection.disconnect()  # type: ignore[no-untyped-call]  # redis-py gives it no types.


def pack(*words: Word) -> bytes:
    """Return a command as it goes over the wire."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # Its stub: one word.
    return packed
