from __future__ import annotations

from typing import Any

import trio

from gateway.http.problems import Problem
from gateway.refuse import refuse


async def test_a_body_is_read_while_the_answer_is_sent() -> None:
    """Hypercorn ends an answer by telling the endpoint, through the queue that the body fills."""
    says, said = trio.open_memory_channel[Any](0)
    sent: list[Any] = []

    async def receive() -> Any:
        return await said.receive()

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "http.response.body":
            await says.send({"type": "http.disconnect"})

    async def send_body() -> None:
        for _ in range(100):
            await says.send({"type": "http.request", "body": b"x", "more_body": True})

    scope: Any = {"type": "http", "headers": []}
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_body)
            problem = Problem("method_not_allowed", "No.")
            await refuse(scope, receive, send, problem, "0" * 32, {"Allow": "GET"})
            nursery.cancel_scope.cancel()
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["status"] == 405
    assert (b"allow", b"GET") in sent[0]["headers"]
