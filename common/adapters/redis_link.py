"""One connection to Redis: its socket, and the words and replies that go over it.

hiredis packs and reads them, trio waits; there is no asyncio in between, which would cost twice as
much as all the rest (``ops/decisions/agents.md``). It knows no command but those that open a
connection, pools nothing, and sets no deadline: callers do. A link that was left in the middle of
something is of no use any more, and theirs to close.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from typing import Any, TypeAlias

import attrs
import hiredis
import trio
from redis.connection import parse_url

Word: TypeAlias = str | bytes | int | float
Reply: TypeAlias = int | bytes | list["Reply"] | None

_PORT = 6379
_READ_BYTES = 64 * 1024
_LOSSES = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)
_NOTHING = object()  # hiredis says so when a reply is not whole yet.
_CERT_REQS = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_TLS_WORDS = {"cert_reqs", "ca_certs", "check_hostname", "certfile", "keyfile"}


class LinkLost(Exception):
    """There is no connection, or not any more."""


class RefusedByRedis(Exception):
    """An error reply; the connection is as good as before."""

    @property
    def code(self) -> str:
        """Its first word: ``NOSCRIPT``, ``OOM``, ``ERR`` ..."""
        return str(self).partition(" ")[0]


@attrs.frozen
class Address:
    """``path`` is that of a Unix socket, or "": then host and port are meant."""

    host: str = "localhost"
    port: int = _PORT
    path: str = ""
    db: int = 0
    username: str = ""
    password: str = attrs.field(default="", repr=False)
    tls: ssl.SSLContext | None = None


def read_url(url: str) -> Address:
    """Return what ``url`` names, as redis-py reads it, or ValueError."""
    said: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]  # redis-py gives it no types.
    said.pop("connection_class", None)
    tls = _tls(said) if url.startswith("rediss:") else None
    known = {field.name for field in attrs.fields(Address)}
    if strange := sorted(set(said) - known):
        raise ValueError(f"nobody knows what {', '.join(strange)} means")
    return Address(**said, tls=tls)


def _tls(said: dict[str, Any]) -> ssl.SSLContext:
    words = {word: said.pop(f"ssl_{word}", None) for word in _TLS_WORDS}
    context = ssl.create_default_context(cafile=words["ca_certs"])
    reqs = words["cert_reqs"] or "required"
    if reqs not in _CERT_REQS:
        raise ValueError(f"ssl_cert_reqs is one of {', '.join(_CERT_REQS)}")
    context.check_hostname = reqs != "none" and words["check_hostname"] is not False
    context.verify_mode = _CERT_REQS[reqs]
    if words["certfile"]:
        context.load_cert_chain(words["certfile"], words["keyfile"])
    return context


def pack(*words: Word) -> bytes:
    """Return a command as it goes over the wire."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # Its stub: one word.
    return packed


class _Plain:
    """A command costs one call of the kernel's: trio's stream would give way, too."""

    def __init__(self, stream: trio.SocketStream) -> None:
        sock = stream.socket
        self._sock = socket.socket(sock.family, sock.type, sock.proto, sock.detach())
        self._sock.setblocking(False)

    async def send_all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._sock.send(rest) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._sock)

    async def receive_some(self, max_bytes: int) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            with contextlib.suppress(BlockingIOError):
                return self._sock.recv(max_bytes)

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        trio.lowlevel.notify_closing(self._sock)
        self._sock.close()


class _Secured:
    def __init__(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        self.send_all = stream.send_all
        self.receive_some = stream.receive_some
        self._sock = stream.transport_stream.socket

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()


class Link:
    """One task writes at a time, and one reads."""

    def __init__(self, wire: _Plain | _Secured) -> None:
        self._wire = wire
        self._reader = hiredis.Reader(
            protocolError=LinkLost, replyError=RefusedByRedis, notEnoughData=_NOTHING
        )
        self._is_open = True

    async def send(self, data: bytes) -> None:
        """Up to what the kernel takes at once it does not give way, so order is kept."""
        try:
            await self._wire.send_all(data)
        except _LOSSES as error:
            raise LinkLost(str(error) or "it was closed here") from error

    async def read(self) -> Reply:
        """The next reply; RefusedByRedis when it is an error."""
        while (reply := self._reader.gets()) is _NOTHING:
            try:
                data = await self._wire.receive_some(_READ_BYTES)
            except _LOSSES as error:
                raise LinkLost(str(error) or "it was closed here") from error
            if not data:
                raise LinkLost("Redis closed the connection")
            self._reader.feed(bytes(data))
        if isinstance(reply, Exception):
            raise reply
        said: Reply = reply
        return said

    @property
    def is_idle(self) -> bool:
        """Whether it is open at the other end too, and nothing comes that nobody asked for."""
        if not self._is_open or self._reader.has_data():
            return False
        look = select.poll()
        look.register(self._wire.fileno(), select.POLLIN)
        return not look.poll(0)

    def close(self) -> None:
        """Now, without a word; harmless when it is closed. Who waits for it hears LinkLost."""
        if self._is_open:
            self._is_open = False
            self._wire.close()


async def open_link(address: Address) -> Link:
    """Connect, and say who we are. LinkLost, also when Redis does not want us."""
    try:
        link = Link(await _connect(address))
    except _LOSSES as error:
        raise LinkLost(str(error.__cause__ or error) or type(error).__name__) from error
    try:
        if address.password or address.username:
            name = [address.username] if address.username else []
            await _greet(link, "AUTH", *name, address.password)
        if address.db:
            await _greet(link, "SELECT", address.db)
    except BaseException:
        link.close()
        raise
    return link


async def _greet(link: Link, *words: Word) -> None:
    await link.send(pack(*words))
    try:
        await link.read()
    except RefusedByRedis as refused:
        raise LinkLost(f"{words[0]!r}: {refused}") from refused


async def _connect(address: Address) -> _Plain | _Secured:
    if address.path:
        return _Plain(await trio.open_unix_socket(address.path))
    stream = await trio.open_tcp_stream(address.host, address.port)
    if address.tls is None:
        return _Plain(stream)
    secured = trio.SSLStream(stream, address.tls, server_hostname=address.host)
    try:
        await secured.do_handshake()
    except BaseException:
        stream.socket.close()
        raise
    return _Secured(secured)
