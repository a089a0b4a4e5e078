"""Answer at once from an endpoint that is plain ASGI: a problem, also before an upgrade, OPTIONS.

It decides nothing. A body that the client sends along is read and thrown away meanwhile: else a
full queue between server and endpoint would hold up the answer for ever.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, WebsocketScope

from common import wire
from gateway.http.problems import Problem, details_of


async def refuse(
    scope: HTTPScope | WebsocketScope,
    receive: ASGIReceiveCallable,
    send: ASGISendCallable,
    problem: Problem,
    trace_id: str,
    headers: Mapping[str, str] | None = None,
) -> None:
    body = wire.encode(details_of(problem, trace_id))
    fields = {
        "content-type": "application/problem+json",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "x-trace-id": trace_id,
        **problem.headers,
        **(headers or {}),
    }
    answer = _answer if scope["type"] == "http" else _deny
    await _while_draining(receive, answer(send, problem.status, _raw(fields), body))


async def answer_options(
    receive: ASGIReceiveCallable, send: ASGISendCallable, allow: str, trace_id: str
) -> None:
    fields = {
        "allow": allow,
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "x-trace-id": trace_id,
    }
    await _while_draining(receive, _answer(send, 204, _raw(fields), b""))


def _raw(fields: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in fields.items()]


async def _while_draining(receive: ASGIReceiveCallable, answer: Awaitable[None]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_drain, receive)
        await answer
        nursery.cancel_scope.cancel()


async def _answer(
    send: ASGISendCallable, status: int, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _deny(
    send: ASGISendCallable, status: int, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    """https://asgi.readthedocs.io/en/latest/extensions.html#websocket-denial-response"""
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body, "more_body": False})


async def _drain(receive: ASGIReceiveCallable) -> None:
    while (await receive())["type"] not in ("http.disconnect", "websocket.disconnect"):
        pass
