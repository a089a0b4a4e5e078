"""The public port: listen, hand each connection to Hypercorn, and stop in time.

Hypercorn speaks HTTP/1, HTTP/2, TLS and WebSocket; the accept loop is ours, because its own takes
no other connection class, keeps its real port to itself, and can't end a write that is stuck.
"""

from __future__ import annotations

import logging
import socket
from functools import partial

import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework
from hypercorn.utils import wrap_app

from common.errors import Misconfigured
from common.limits import (
    BACKLOG,
    FRAME_BYTES_MAX,
    GRACE_SECONDS,
    HEAD_BYTES_MAX,
    HEAD_SECONDS_MAX,
    HEARTBEAT_SECONDS,
    SEND_BUFFER_BYTES,
    VANISHED_SECONDS_MAX,
)
from gateway.connection import Connection
from gateway.kernel import end_vanished

_Listener = trio.SSLListener[trio.SocketStream] | trio.SocketListener


def make_config(tls_cert: str | None = None, tls_key: str | None = None) -> Config:
    """Return Hypercorn's settings for the public port: every bound that it knows of is set.

    Misconfigured when there is no TLS to be had with these files.
    """
    config = Config()
    config.certfile, config.keyfile = tls_cert, tls_key or tls_cert
    if tls_key is not None and tls_cert is None:
        raise Misconfigured("TESSERA_TLS_KEY is set and TESSERA_TLS_CERT is not")
    try:
        config.create_ssl_context()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise Misconfigured(f"TESSERA_TLS_CERT and TESSERA_TLS_KEY cannot be used: {why}") from None
    config.errorlog = logging.getLogger("hypercorn.error")
    config.graceful_timeout = GRACE_SECONDS
    config.h11_max_incomplete_size = HEAD_BYTES_MAX
    config.h2_max_header_list_size = HEAD_BYTES_MAX
    config.include_server_header = False
    # Counted from connecting, and from the end of each answer, to the end of the next head.
    # (``read_timeout`` would end event streams as well, whose clients say nothing for hours.)
    config.keep_alive_timeout = HEAD_SECONDS_MAX
    config.websocket_max_message_size = FRAME_BYTES_MAX
    # The heartbeat of spectators' fallback; agents' pings are ours, see gateway/agent/websocket.py.
    config.websocket_ping_interval = HEARTBEAT_SECONDS
    return config


async def serve(
    app: ASGIFramework,
    config: Config,
    *,
    host: str,
    port: int,
    stop: trio.Event,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until ``stop``; started with the real port. OSError when it can't be had.

    Then no more connections are taken, idle ones end at once, and the others have
    ``config.graceful_timeout`` seconds.
    """
    listeners = await _listen(host, port, config)
    context = WorkerContext(None)
    living: set[Connection] = set()
    handle = partial(Connection, wrap_app(app, 0, "asgi"), config, context, living)
    async with trio.open_nursery() as around:
        async with trio.open_nursery() as connections:
            async with trio.open_nursery() as accepting:
                accepting.start_soon(
                    partial(trio.serve_listeners, handle, listeners, handler_nursery=connections)
                )
                task_status.started(_port(listeners[0]))
                await stop.wait()
                accepting.cancel_scope.cancel()
            await context.terminated.set()
            around.start_soon(_end, connections.cancel_scope, living, config.graceful_timeout)
        around.cancel_scope.cancel()


async def _end(connections: trio.CancelScope, living: set[Connection], seconds: float) -> None:
    await trio.sleep(seconds)
    connections.cancel()
    for connection in tuple(living):
        connection.abort()  # Writes are shielded: cancelling alone would not end them.


async def _listen(host: str, port: int, config: Config) -> list[_Listener]:
    context = config.create_ssl_context()
    plain = await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
    for listener in plain:
        _prepare(listener.socket)
    if context is None:
        return list(plain)
    return [trio.SSLListener(listener, context, https_compatible=True) for listener in plain]


def _prepare(sock: trio.socket.SocketType) -> None:
    """Set what accepted sockets inherit."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # A peer that vanished acknowledges nothing: heartbeats and pings then end here.
    end_vanished(sock, VANISHED_SECONDS_MAX)


def _port(listener: _Listener) -> int:
    inner = listener.transport_listener if isinstance(listener, trio.SSLListener) else listener
    assert isinstance(inner, trio.SocketListener)
    port: int = inner.socket.getsockname()[1]
    return port
