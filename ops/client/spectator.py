"""Watch chunks over SSE, and come back with ``Last-Event-ID`` when the connection is lost.

Yields what was heard, in order; ``View`` keeps a replica of each chunk from it.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import attrs
import httpx
import httpx_sse
import trio

from common import wire
from common.adapters.beside import beside
from common.frames import SpectatorFrame
from common.grid import ChunkId
from ops.client.account import open_http, refusal_of

SILENCE_SECONDS_MAX = 30.0  # The server says something every 15 s.
RETRY_SECONDS = 1.0
EVENTS_MAX = 64  # Events not yet taken; beyond: the server waits, and resyncs us in the end.


@attrs.frozen
class SpectatorEvent:
    """One event of the stream; ``id`` names all that has been sent so far."""

    frame: SpectatorFrame
    id: str | None


@asynccontextmanager
async def spectate(
    url: str, chunks: Sequence[ChunkId], last_event_id: str | None = None
) -> AsyncIterator[trio.MemoryReceiveChannel[SpectatorEvent]]:
    """Give an endless stream of events of ``chunks``. Raises Refused when the server says no."""
    heard, events = trio.open_memory_channel[SpectatorEvent](EVENTS_MAX)
    async with beside(partial(_keep_listening, url, chunks, last_event_id, heard)):
        yield events


async def _keep_listening(
    url: str,
    chunks: Sequence[ChunkId],
    last_event_id: str | None,
    heard: trio.MemorySendChannel[SpectatorEvent],
) -> None:
    async with open_http(url) as http:
        while True:
            try:
                async with _open_stream(http, chunks, last_event_id) as source:
                    sses = source.aiter_sse()
                    async for sse in sses:
                        last_event_id = sse.id or last_event_id
                        if (frame := read_frame(sse.data)) is not None:
                            event = SpectatorEvent(frame, sse.id or None)
                            await _hand_on(event, heard, sses)
            except httpx.UnsupportedProtocol:
                raise  # No server is there, and none ever will be.
            except httpx.TransportError:
                pass
            await trio.sleep(RETRY_SECONDS * (0.5 + random.random()))  # noqa: S311  Only spreads retries.


async def _hand_on(
    event: SpectatorEvent,
    heard: trio.MemorySendChannel[SpectatorEvent],
    sses: AsyncIterator[object],
) -> None:
    try:
        await heard.send(event)
    except trio.Cancelled:
        # httpx reads through generators inside generators, of which each must end. Cancelled here,
        # outside of them, they would be left to the garbage collector; the next read ends them.
        async for _ in sses:
            pass
        raise


@asynccontextmanager
async def _open_stream(
    http: httpx.AsyncClient, chunks: Sequence[ChunkId], last_event_id: str | None
) -> AsyncIterator[httpx_sse.EventSource]:
    async with httpx_sse.aconnect_sse(
        http,
        "GET",
        "/v1/spectate",
        params={"chunks": ",".join(chunks)},
        headers={"Last-Event-ID": last_event_id} if last_event_id else {},
        timeout=httpx.Timeout(10.0, read=SILENCE_SECONDS_MAX),
    ) as source:
        if not source.response.is_success:
            await source.response.aread()
            raise refusal_of(source.response)
        yield source


def read_frame(data: str) -> SpectatorFrame | None:
    """The frame that ``data`` is the JSON of; None for a kind that this client does not know."""
    plain = wire.parse(data)
    known = isinstance(plain, dict) and plain.get("type") in _KNOWN
    return wire.structure_leniently(plain, SpectatorFrame) if known else None


_KNOWN = frozenset(("session_ready", "chunk_static", "chunk_delta", "resync"))
