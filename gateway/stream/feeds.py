"""Feeds: what this gateway knows of the chunks that somebody here watches.

One feed a chunk, however many listen; each delta is the shard's bytes, the same object for all.
It sends nothing to clients and knows none: a listener decides what to do with what it hears.
What follows from a message is decided in ``gateway.stream.follow``; here it is carried out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs

from common.bus import Delta, Restored
from common.envelopes import Shown
from common.events import Event
from common.grid import ChunkId, Tick


@attrs.frozen(eq=False)
class Static:
    """The whole chunk after ``tick``; ``data`` is the encoded ``chunk_static``."""

    chunk: ChunkId
    generation: int
    tick: Tick
    data: bytes


@attrs.frozen(eq=False)
class FeedDelta:
    """The next delta; ``delta.data`` is the encoded ``chunk_delta``."""

    delta: Delta
    events: Sequence[Event]


class Listener(Protocol):
    """Hears a Static first, then every delta after it; a later Static begins anew (a resync)."""

    def hear(self, item: Static | FeedDelta) -> None:
        """Must neither wait nor raise: it is called in the middle of the fan-out."""


class Feeds:
    async def run(self) -> None: ...

    def listen(self, chunk: ChunkId, listener: Listener) -> None:
        """Tell ``listener`` of ``chunk`` from now on: Static at once if it is known already."""

    def leave(self, chunk: ChunkId, listener: Listener) -> None:
        """Hear no more of ``chunk``. Harmless when it does not listen."""

    def hear(self, message: Delta | Shown | Restored) -> None:
        """The switchboard's entrance."""
