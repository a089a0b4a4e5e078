"""The world in figures, and its active chunks. Up to COUNTS_SECONDS old, and a gateway's own.

Asking often costs nothing: one look at Redis serves everybody who asks in that time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, Literal, TypeVar

import attrs
import trio

from common.grid import CHUNK_SIZE, ChunkId
from common.limits import COUNTS_SECONDS, TICK_HZ
from gateway.http.callers import anybody
from gateway.http.outside import Outside
from gateway.http.route import Ask, Route

T = TypeVar("T")


@attrs.frozen
class WorldFigures:
    world_id: str
    active_chunks: int
    agents_online: int
    spectators: int
    shard_count: int
    tick_hz: Literal[5] = attrs.field(default=TICK_HZ, kw_only=True)
    chunk_size: Literal[50] = attrs.field(default=CHUNK_SIZE, kw_only=True)
    protocol: Literal[1] = attrs.field(default=1, kw_only=True)


@attrs.frozen
class ActiveChunk:
    chunk: ChunkId
    agents: int


@attrs.frozen
class ActiveChunks:
    """Those with the most agents first. Of a shard at most 256 are listed, ``active_chunks`` is
    how many there are in all."""

    chunks: list[ActiveChunk]
    active_chunks: int


@attrs.define
class Recent(Generic[T]):
    """What ``fetch`` said at most ``seconds`` ago; those who ask meanwhile wait for one fetch."""

    fetch: Callable[[], Awaitable[T]]
    seconds: float
    _kept: tuple[float, T] | None = None
    _fetching: trio.Lock = attrs.field(factory=trio.Lock)

    async def get(self) -> T:
        async with self._fetching:
            if self._kept is None or trio.current_time() >= self._kept[0]:
                value = await self.fetch()
                self._kept = (trio.current_time() + self.seconds, value)
            return self._kept[1]


def world_routes(outside: Outside) -> tuple[Route[None, None], ...]:
    world = Recent(outside.accounts.world, float("inf"))  # Its id never changes.
    counts = Recent(outside.bus.counts, COUNTS_SECONDS)

    async def show_world(_ask: Ask[None, None]) -> WorldFigures:
        now = await counts.get()
        return WorldFigures(
            (await world.get()).id,
            now.active_chunks,
            now.agents_online,
            now.spectators,
            outside.routes.topology.shard_count,
        )

    async def list_chunks(_ask: Ask[None, None]) -> ActiveChunks:
        now = await counts.get()
        busiest = sorted(now.busiest.items(), key=lambda chunk: (-chunk[1], chunk[0]))
        return ActiveChunks([ActiveChunk(*chunk) for chunk in busiest], now.active_chunks)

    return (
        Route(
            "GET",
            "/v1/chunks",
            "List the chunks that are active, for a map",
            anybody,
            type(None),
            list_chunks,
            answers={ActiveChunks: 200},
        ),
        Route(
            "GET",
            "/v1/world",
            "Show the world's figures",
            anybody,
            type(None),
            show_world,
            answers={WorldFigures: 200},
        ),
    )
