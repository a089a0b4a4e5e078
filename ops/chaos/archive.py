"""The world's own sequence, from where it is kept: the streams of Redis, and the journal.

Redis is read again and again, since it keeps two minutes. In the end the journal and the snapshots
of PostgreSQL must say the very same, byte for byte, as far back as they reach.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
import redis
import trio

from common import topics, wire
from common.frames import ChunkStatic
from common.grid import ChunkId, Tick
from common.journal import History
from ops.rebuild import Rebuilding
from ops.retelling import differences
from ops.transcript import Original
from shard.world.show import static_of

READ_SECONDS = 5.0
ANSWER_SECONDS_MAX = 5.0


@attrs.define(eq=False)
class Archive:
    _url: Callable[[], str]
    _chunks: Sequence[ChunkId]
    originals: dict[ChunkId, Original] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.originals = {chunk: Original() for chunk in self._chunks}

    @property
    def deltas(self) -> int:
        return sum(len(original.ticks) for original in self.originals.values())

    async def keep(self) -> None:
        """Until cancelled."""
        while True:
            await self.read()
            await trio.sleep(READ_SECONDS)

    async def read(self) -> None:
        """Take in what was published since the last time."""
        await trio.to_thread.run_sync(self._read)

    def _read(self) -> None:
        with redis.Redis.from_url(self._url(), socket_timeout=ANSWER_SECONDS_MAX) as client:
            for chunk, original in self.originals.items():
                last = original.ticks[-1] if original.ticks else 0
                for id, fields in client.xrange(topics.deltas(chunk), f"({last}-0"):
                    original.add(Tick(int(id.split(b"-")[0])), fields[b"d"])


def broken(archive: Archive, histories: Mapping[ChunkId, History], seed: int) -> Sequence[str]:
    """Return where Redis and the journal differ."""
    return [
        difference
        for chunk, history in histories.items()
        for difference in differences(archive.originals[chunk], history, seed)
    ]


def untrue(shown: Sequence[ChunkStatic], history: History, seed: int) -> Sequence[str]:
    """Return those of the statics of one chunk that are not as its journal says."""
    told = {static.tick: static for static in shown if static.tick > history.first}
    wrong: list[str] = []
    until = max(told, default=history.first)
    for chunk in Rebuilding(history, seed).ticks(until):
        static = told.pop(chunk.changed, None)
        if static is not None and wire.encode(static) != wire.encode(static_of(chunk)):
            wrong.append(f"{chunk.id} was shown as {static}, at {chunk.tick} it was {chunk}")
    return wrong
