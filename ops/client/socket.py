"""A WebSocket to the gateway whose TCP connection is surely closed in the end.

trio-websocket leaves its stream open when the server closes first (its ``aclose`` then returns
early), so here the stream is ours.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import urlsplit

import trio
from trio_websocket import HandshakeError, WebSocketConnection, wrap_client_stream
from wsproto.utilities import LocalProtocolError

from common.adapters.beside import ungrouped

_Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]

CONNECT_SECONDS_MAX = 15.0  # The gateway itself gives up on a shard after 8 s.
CLOSE_SECONDS_MAX = 0.2  # For the answer to our close.
HANG_UP_SECONDS_MAX = 0.02  # When we are cancelled: nobody reads an answer then.


@asynccontextmanager
async def open_socket(
    url: str, headers: Sequence[tuple[bytes, bytes]]
) -> AsyncIterator[WebSocketConnection]:
    """Connect to ``url`` (http or https). OSError, HandshakeError, ConnectionRejected."""
    with ungrouped(), _untroubled_by_late_pings():
        async with await _open_stream(url) as stream, trio.open_nursery() as nursery:
            socket = await _shake_hands(nursery, stream, url, headers)
            try:
                yield socket
            finally:
                is_cancelled = trio.current_effective_deadline() == -math.inf
                seconds = HANG_UP_SECONDS_MAX if is_cancelled else CLOSE_SECONDS_MAX
                with trio.move_on_after(seconds, shield=True):
                    await socket.aclose()
                nursery.cancel_scope.cancel()


@contextmanager
def _untroubled_by_late_pings() -> Iterator[None]:
    """A ping that crosses our close is no trouble; trio-websocket's task breaks when it answers."""
    try:
        yield
    except* LocalProtocolError:
        pass


async def _open_stream(url: str) -> _Stream:
    parts = urlsplit(url)
    assert parts.hostname is not None, f"no host in {url}"
    is_secure = parts.scheme == "https"
    connect = trio.open_ssl_over_tcp_stream if is_secure else trio.open_tcp_stream
    with _in_time():
        return await connect(parts.hostname, parts.port or (443 if is_secure else 80))


async def _shake_hands(
    nursery: trio.Nursery, stream: _Stream, url: str, headers: Sequence[tuple[bytes, bytes]]
) -> WebSocketConnection:
    parts = urlsplit(url)
    resource = f"{parts.path}?{parts.query}" if parts.query else parts.path
    with _in_time():
        return await wrap_client_stream(
            nursery, stream, parts.netloc, resource, extra_headers=list(headers)
        )


@contextmanager
def _in_time() -> Iterator[None]:
    try:
        with trio.fail_after(CONNECT_SECONDS_MAX):
            yield
    except trio.TooSlowError:
        raise HandshakeError(f"no connection within {CONNECT_SECONDS_MAX} s") from None
