"""The port that only the machine's own people see: metrics, and whether the process is well.

Serves ``/metrics``, ``/healthz`` and ``/readyz`` of one process, and nothing of the world.
Health says that the process lives; readiness that it can do its work now.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from prometheus_client import REGISTRY, CollectorRegistry, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from common.limits import READY_SECONDS_MAX

# A series more for every counter, which says what process_start_time_seconds says.
disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client gives it no types.

Missing = Callable[[], Awaitable[Mapping[str, str]]]
"""Says what is missing, as name -> why: ``{"redis": "unreachable"}``. Nothing: ready."""


async def serve_private(
    port: int,
    ready: Missing,
    registry: CollectorRegistry,
    *,
    stop: trio.Event,
    host: str = "127.0.0.1",
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until ``stop``; started with the real port (``port`` 0: a free one).

    ``registry``: what this process counts besides what every one of ours does.
    """
    shown = CollectorRegistry()
    shown.register(REGISTRY)
    shown.register(registry)

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            headers = dict(scope["headers"])
            accept = headers.get(b"accept", b"").decode("latin-1")
            await _send(send, *await _answer(scope["method"], scope["path"], accept, ready, shown))
        # A WebSocket that is not accepted is refused by the server.

    async with trio.open_nursery() as nursery:
        binds: list[str] = await nursery.start(_serve, app, _config(host, port), stop)
        real = urlsplit(binds[0]).port
        assert real is not None
        task_status.started(real)


async def _serve(
    app: Callable[[Scope, ASGIReceiveCallable, ASGISendCallable], Awaitable[None]],
    config: Config,
    stop: trio.Event,
    task_status: trio.TaskStatus[list[str]],
) -> None:
    await serve(app, config, shutdown_trigger=stop.wait, task_status=task_status, mode="asgi")


def _config(host: str, port: int) -> Config:
    config = Config()
    config.bind = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"]
    config.errorlog = logging.getLogger("hypercorn.error")
    config.graceful_timeout = 0.2  # An answer here takes milliseconds.
    config.read_timeout = 10  # Prometheus asks at once, and comes back with a new connection.
    config.include_server_header = False
    return config


_Answer = tuple[int, str, bytes]


async def _answer(
    method: str, path: str, accept: str, ready: Missing, shown: CollectorRegistry
) -> _Answer:
    if path not in ("/metrics", "/healthz", "/readyz"):
        return _json(404, {"status": "not_found"})
    if method not in ("GET", "HEAD"):
        return _json(405, {"status": "method_not_allowed"})
    if path == "/metrics":
        encode, content_type = choose_encoder(accept)
        return 200, content_type, encode(shown)
    if path == "/readyz" and (missing := await _missing(ready)):
        return _json(503, {"status": "unready", **missing})
    return _json(200, {"status": "ok"})


async def _missing(ready: Missing) -> Mapping[str, str]:
    with trio.move_on_after(READY_SECONDS_MAX):
        return await ready()
    return {"process": f"did not say within {READY_SECONDS_MAX:g} s"}


def _json(status: int, body: Mapping[str, str]) -> _Answer:
    return status, "application/json", json.dumps(body).encode()


async def _send(send: ASGISendCallable, status: int, content_type: str, body: bytes) -> None:
    headers = [
        (b"content-type", content_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _live(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Nothing to do at either end of the process's life, but the server wants to hear so."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
