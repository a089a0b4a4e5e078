"""The gateway as one ASGI app: what arrives goes to the endpoint that its path names.

It serves nothing itself but the 404 of a WebSocket that leads nowhere, and writes one line of
access log a request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import attrs
import trio
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGISendCallable,
    ASGISendEvent,
    HTTPScope,
    Scope,
    WebsocketScope,
)

from gateway import access_log
from gateway.connection import connection_of, harden
from gateway.http.problems import Problem
from gateway.http.tracing import trace_id_for
from gateway.refuse import refuse

RecordUpgrade = Callable[[str, str, Problem], Awaitable[Problem | None]]
"""Given a path, a trace and the answer; returns what to answer instead when there is no record."""
HTTPEndpoint = Callable[[HTTPScope, ASGIReceiveCallable, ASGISendCallable], Awaitable[None]]
WebsocketEndpoint = Callable[
    [WebsocketScope, ASGIReceiveCallable, ASGISendCallable], Awaitable[None]
]

# Asked every second or so by whoever watches the process: they would drown everything else.
_QUIET = frozenset({"/healthz", "/readyz"})
_STREAMS = frozenset({"/v1/agent", "/v1/spectate", "/v1/spectate/ws"})


@attrs.frozen(eq=False)
class Gateway:
    """``calls`` answers every HTTP request but the event stream's; ``agent`` may be slow to end.

    ``record_upgrade`` is asked before a WebSocket that leads nowhere is refused.
    """

    calls: ASGIFramework
    agent: WebsocketEndpoint
    spectate: HTTPEndpoint
    spectate_ws: WebsocketEndpoint
    record_upgrade: RecordUpgrade

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "lifespan":
            await self.calls(scope, receive, send)
            return
        answer = _Answer(send, is_last=_has_two_lengths(scope))
        began = trio.current_time()
        try:
            if scope["type"] == "websocket":
                harden(scope, send)
                await self._websocket(scope)(scope, receive, answer.send)
            elif scope["path"] == "/v1/spectate":
                await self.spectate(scope, receive, answer.send)
            else:
                await self.calls(scope, receive, answer.send)
        finally:
            self._note(scope, answer, began)

    def _websocket(self, scope: WebsocketScope) -> WebsocketEndpoint:
        match scope["path"]:
            case "/v1/agent":
                return self.agent
            case "/v1/spectate/ws":
                return self.spectate_ws
            case _:
                return self._nowhere

    async def _nowhere(
        self, scope: WebsocketScope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        problem = Problem("not_found", "There is no WebSocket at this address.")
        traceparents = [value for name, value in scope["headers"] if name == b"traceparent"]
        trace_id = trace_id_for(traceparents[0].decode("latin-1") if traceparents else "")
        unrecorded = await self.record_upgrade(scope["path"], trace_id, problem)
        await refuse(scope, receive, send, unrecorded or problem, trace_id)

    def _note(self, scope: HTTPScope | WebsocketScope, answer: _Answer, began: float) -> None:
        connection = connection_of(scope)
        if scope["path"] in _QUIET or (connection is not None and connection.is_taken):
            return  # Who took the connection over ends the answer.
        access_log.note(
            scope["method"] if scope["type"] == "http" else "WEBSOCKET",
            _route(scope),
            status=answer.status,
            began=began,
            trace_id=answer.trace_id or access_log.trace_in(scope),
        )


@attrs.define
class _Answer:
    """Passes on what an endpoint sends, and remembers how it answered."""

    _send: ASGISendCallable
    is_last: bool = False
    """Of its connection, which ends with it."""
    status: int | None = None
    """None: the client went before there was an answer."""
    trace_id: str | None = None

    async def send(self, event: ASGISendEvent) -> None:
        if event["type"] in ("http.response.body", "websocket.send"):
            pass  # By far the most, and they say nothing new.
        elif event["type"] in ("http.response.start", "websocket.http.response.start"):
            self.status = event["status"]
            self._note_trace(event["headers"])
            if self.is_last:
                event["headers"] = [*event["headers"], (b"connection", b"close")]
        elif event["type"] == "websocket.accept":
            self.status = 101
            self._note_trace(event["headers"])
        await self._send(event)

    def _note_trace(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        traces = [value for name, value in headers if name.lower() == b"x-trace-id"]
        self.trace_id = traces[0].decode("latin-1") if traces else None


def _route(scope: HTTPScope | WebsocketScope) -> str:
    if scope["path"] in _STREAMS:
        return scope["path"]
    return access_log.route_in(scope) if scope["type"] == "http" else access_log.NO_ROUTE


def _has_two_lengths(scope: HTTPScope | WebsocketScope) -> bool:
    """Who took the other of the two for the body's end takes what follows for a request.

    https://www.rfc-editor.org/rfc/rfc9112#section-6.1-15
    """
    return {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}
