"""The same as people usually build it: FastAPI on uvicorn, with sse-starlette.

Fan-out: one task hears the messages of one Redis channel and puts each into a queue a reader;
sse-starlette makes events of them, each for each reader. Agents: a WebSocket that does the
two-step challenge, with the protocol's own proof, and nothing else. It is what ``streams``
compares the gateway with, and nothing else here knows these packages.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import redis.asyncio
import rfc8785
import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from sse_starlette import EventSourceResponse, ServerSentEvent

from common.limits import CHALLENGE_MS, SPECTATOR_QUEUE_MAX

CHANNEL = "bench:rival"
URL_VARIABLE = "BENCH_REDIS_URL"  # It has a password: not for a command line.

# It knows one agent only: whoever comes signs as that one.
AGENT, SESSION, SECRET = "agt_0123456789abcdef", "ses_0123456789abcdef", bytes(range(32))
CHALLENGE_LIFE = timedelta(milliseconds=CHALLENGE_MS)

Queue = asyncio.Queue[tuple[int, str]]


def make_app(redis_url: str) -> FastAPI:
    queues: set[Queue] = set()

    async def hear() -> None:
        server = redis.asyncio.from_url(redis_url)
        subscription = server.pubsub()
        await subscription.subscribe(CHANNEL)
        number = 0
        async for message in subscription.listen():
            if message["type"] == "message":
                number += 1
                data = message["data"].decode()
                for queue in queues:
                    if not queue.full():  # What a resync would take over from.
                        queue.put_nowait((number, data))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(hear())
        yield
        task.cancel()

    app = FastAPI(lifespan=lifespan)

    @app.get("/stream")
    async def stream() -> EventSourceResponse:
        return EventSourceResponse(events(), sep="\n")

    async def events() -> AsyncIterator[ServerSentEvent]:
        queue: Queue = asyncio.Queue(SPECTATOR_QUEUE_MAX)
        queues.add(queue)
        try:
            yield ServerSentEvent("{}", event="session_ready", sep="\n")
            while True:
                number, data = await queue.get()
                yield ServerSentEvent(data, event="chunk_delta", id=str(number), sep="\n")
        finally:
            queues.discard(queue)

    @app.websocket("/agent")
    async def agent(socket: WebSocket) -> None:
        await socket.accept()
        with suppress(WebSocketDisconnect):
            while True:
                await exchange(socket)

    async def exchange(socket: WebSocket) -> None:
        request = json.loads(await socket.receive_text())
        nonce, until = _base64url(secrets.token_bytes(16)), datetime.now(UTC) + CHALLENGE_LIFE
        challenge = {"type": "challenge", "id": request["id"], "nonce": nonce}
        challenge["expires_at"] = until.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        await socket.send_text(json.dumps(challenge))
        answer = json.loads(await socket.receive_text())
        is_right = datetime.now(UTC) <= until and hmac.compare_digest(
            _signature(request, challenge), answer["signature"]
        )
        ack = {"type": "ack", "id": request["id"], "status": "accepted", "tick": 1, "seq": 1}
        if not is_right:
            ack = {**ack, "status": "rejected", "code": "invalid_signature"}
        await socket.send_text(json.dumps(ack))

    return app


def _signature(request: dict[str, Any], challenge: dict[str, str]) -> str:
    message = {
        "agent_id": AGENT,
        "command": request["command"],
        "expires_at": challenge["expires_at"],
        "id": request["id"],
        "nonce": challenge["nonce"],
        "session_id": SESSION,
        "v": 1,
    }
    return _base64url(hmac.digest(SECRET, rfc8785.dumps(message), hashlib.sha256))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


if __name__ == "__main__":
    uvicorn.run(
        make_app(os.environ[URL_VARIABLE]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        backlog=4096,
        access_log=False,
        log_level="warning",
    )
