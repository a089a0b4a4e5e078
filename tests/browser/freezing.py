"""A way to the gateway that can fall silent: what is connected stays so, but nothing comes."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import attrs

LOOK_SECONDS = 0.05
PIECE_BYTES = 64 * 1024


@attrs.define
class Way:
    """``is_shut``: new connections get no answer either."""

    port: int
    is_shut: bool = False
    _frozen: set[socket.socket] = attrs.field(factory=set)
    _pairs: dict[socket.socket, socket.socket] = attrs.field(factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def freeze(self) -> None:
        """From now on nothing comes over the connections that there are, and none of them ends."""
        self._frozen |= set(self._pairs)


@contextmanager
def a_way_to(target: int) -> Iterator[Way]:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        way = Way(listener.getsockname()[1])
        thread = threading.Thread(target=_carry, args=(way, listener, target, over))
        thread.start()
        try:
            yield way
        finally:
            over.set()
            thread.join()
            for sock in way._pairs:
                sock.close()


def _carry(way: Way, listener: socket.socket, target: int, over: threading.Event) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while not over.is_set():
            for key, _ in selector.select(LOOK_SECONDS):
                if key.fileobj is listener:
                    _connect(way, listener, target, selector)
                elif isinstance(key.fileobj, socket.socket) and key.fileobj in way._pairs:
                    # Else it was closed a moment ago, together with its other end.
                    _pass_on(way, key.fileobj, selector)


def _connect(
    way: Way, listener: socket.socket, target: int, selector: selectors.BaseSelector
) -> None:
    client, _ = listener.accept()
    server = socket.create_connection(("127.0.0.1", target))
    way._pairs |= {client: server, server: client}
    if way.is_shut:
        way._frozen |= {client, server}
    for sock in (client, server):
        selector.register(sock, selectors.EVENT_READ)


def _pass_on(way: Way, sock: socket.socket, selector: selectors.BaseSelector) -> None:
    other = way._pairs[sock]
    try:
        data = sock.recv(PIECE_BYTES)
    except OSError:
        data = b""
    if data and sock in way._frozen:
        return
    if data:
        with suppress(OSError):
            other.sendall(data)
            return
    for end in (sock, other):
        selector.unregister(end)
        way._pairs.pop(end)
        way._frozen.discard(end)
        end.close()
