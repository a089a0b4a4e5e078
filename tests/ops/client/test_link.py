"""A link over a server that answers as scripted: what it takes for passing, and what for final."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import attrs
import pytest
import trio

from ops.client.account import Refused, Ticket, open_http
from ops.client.link import Link

TICKET: dict[str, Any] = {
    "session_id": "ses_2",
    "session_token": "tss_x",
    "challenge_secret": "AA",
    "resume_token": "tsr_x",
    "ws_path": "/v1/agent",
    "scopes": ["observe"],
}
Answer = tuple[int, dict[str, Any], str]

GONE: Answer = (409, {"code": "resume_refused", "detail": "too late"}, "")
BUSY: Answer = (503, {"code": "unavailable", "detail": "wait", "retry_after_ms": 600}, "")
PROXY: Answer = (503, {}, "Retry-After: 1\r\n")
NEVER: Answer = (401, {"code": "unauthorized", "detail": "no such key"}, "")


@attrs.define
class Server:
    """Gives one answer a connection, by the path that is asked for; the last one for ever."""

    script: dict[str, list[Answer]]
    asked: list[tuple[str, float]] = attrs.field(factory=list)
    news: trio.Event = attrs.field(factory=trio.Event)

    async def serve(self, stream: trio.SocketStream) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += await stream.receive_some()
        path = request.split()[1].decode().split("?")[0]
        self.asked.append((path, trio.current_time()))
        self.news.set()
        self.news = trio.Event()
        answers = self.script[path]
        status, body, head = answers.pop(0) if len(answers) > 1 else answers[0]
        text = json.dumps(body)
        lines = f"HTTP/1.1 {status} Said\r\nConnection: close\r\nContent-Length: {len(text)}\r\n"
        await stream.send_all(f"{lines}{head}\r\n{text}".encode())
        await stream.aclose()

    def times(self, path: str) -> list[float]:
        return [when for asked, when in self.asked if asked == path]


async def keep(
    sockets: Sequence[Answer], sessions: Sequence[Answer], until: Callable[[Server], bool]
) -> Server:
    """Keep a link to a scripted server until enough was asked."""
    server = Server({"/v1/agent": list(sockets), "/v1/sessions": list(sessions)})
    async with trio.open_nursery() as nursery:
        listen = partial(trio.serve_tcp, server.serve, 0, host="127.0.0.1")
        (listener,) = await nursery.start(listen)
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        async with open_http(url) as http:
            ticket = Ticket(**TICKET)
            link = Link(
                [url], http, "tsk_x", lambda _: (), lambda _: None, lambda: 0, ticket=ticket
            )
            async with trio.open_nursery() as keeping:
                keeping.start_soon(link.keep)
                with trio.fail_after(30):
                    while not until(server):
                        await server.news.wait()
                keeping.cancel_scope.cancel()
        nursery.cancel_scope.cancel()
    return server


async def test_a_session_that_cannot_be_opened_now_is_asked_for_again() -> None:
    server = await keep(
        [GONE, GONE, BUSY],
        [BUSY, (201, TICKET, "")],
        lambda server: len(server.times("/v1/agent")) == 4,
    )
    first, second = server.times("/v1/sessions")
    assert second - first >= 0.6


async def test_a_busy_gateway_is_asked_when_it_says_so() -> None:
    server = await keep([PROXY], [NEVER], lambda server: len(server.times("/v1/agent")) == 3)
    first, second, third = server.times("/v1/agent")
    assert second - first >= 1
    assert third - second >= 1


@pytest.mark.parametrize(("socket", "session"), [(NEVER, BUSY), (GONE, NEVER)])
async def test_a_key_that_is_not_known_is_final(socket: Answer, session: Answer) -> None:
    with pytest.raises(ExceptionGroup) as ended:
        await keep([socket], [session], lambda _: False)
    assert ended.group_contains(Refused, match="unauthorized")
