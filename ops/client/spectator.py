"""Watch chunks over SSE, and come back with ``Last-Event-ID`` when the connection is lost.

Yields what was heard, in order; ``View`` keeps a replica of each chunk from it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import httpx
import httpx_sse
import trio

from common import wire
from common.frames import SpectatorFrame
from common.grid import ChunkId
from ops.client.account import open_http, refusal_of

SILENCE_SECONDS_MAX = 30.0  # The server says something every 15 s.
RETRY_SECONDS = 1.0


@attrs.frozen
class SpectatorEvent:
    """One event of the stream; ``id`` names all that has been sent so far."""

    frame: SpectatorFrame
    id: str | None


@asynccontextmanager
async def spectate(
    url: str, chunks: Sequence[ChunkId], last_event_id: str | None = None
) -> AsyncIterator[AsyncGenerator[SpectatorEvent, None]]:
    """Give an endless stream of events of ``chunks``. Raises Refused when the server says no."""
    events = _events(url, chunks, last_event_id)
    try:
        yield events
    finally:
        with trio.CancelScope(shield=True):
            await events.aclose()


async def _events(
    url: str, chunks: Sequence[ChunkId], last_event_id: str | None
) -> AsyncGenerator[SpectatorEvent, None]:
    async with open_http(url) as http:
        while True:
            try:
                async for event in _one_connection(http, chunks, last_event_id):
                    last_event_id = event.id or last_event_id
                    yield event
            except httpx.TransportError:
                pass
            await trio.sleep(RETRY_SECONDS)


async def _one_connection(
    http: httpx.AsyncClient, chunks: Sequence[ChunkId], last_event_id: str | None
) -> AsyncGenerator[SpectatorEvent, None]:
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    async with httpx_sse.aconnect_sse(
        http,
        "GET",
        "/v1/spectate",
        params={"chunks": ",".join(chunks)},
        headers=headers,
        timeout=httpx.Timeout(10.0, read=SILENCE_SECONDS_MAX),
    ) as source:
        if not source.response.is_success:
            await source.response.aread()
            raise refusal_of(source.response)
        async for sse in source.aiter_sse():
            frame = read_frame(sse.data)
            if frame is not None:
                yield SpectatorEvent(frame, sse.id or None)


def read_frame(data: str) -> SpectatorFrame | None:
    """The frame that ``data`` is the JSON of; None for a kind that this client does not know."""
    plain = wire.parse(data)
    known = isinstance(plain, dict) and plain.get("type") in _KNOWN
    return wire.structure_leniently(plain, SpectatorFrame) if known else None


_KNOWN = frozenset(("session_ready", "chunk_static", "chunk_delta", "resync"))
