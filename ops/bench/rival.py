"""The same fan-out as people usually build it: FastAPI on uvicorn, with sse-starlette.

One task hears the messages of one Redis channel and puts each into a queue a reader. It is what
``streams`` compares the gateway with, and nothing else here knows these packages. Its messages
are made into events by sse-starlette, each for each reader.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio
import uvicorn
from fastapi import FastAPI
from sse_starlette import EventSourceResponse, ServerSentEvent

from common.limits import SPECTATOR_QUEUE_MAX

CHANNEL = "bench:rival"
URL_VARIABLE = "BENCH_REDIS_URL"  # It has a password: not for a command line.

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

    return app


if __name__ == "__main__":
    uvicorn.run(
        make_app(os.environ[URL_VARIABLE]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        backlog=4096,
        access_log=False,
        log_level="warning",
    )
