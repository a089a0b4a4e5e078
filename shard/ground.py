"""Lays out the ground of chunks that are awake before anybody needs it, a little at a time.

It takes some milliseconds a chunk, once. Left to the first command in each chunk, after a restart
a batch of commands would be a batch of these, and no chunk could tick meanwhile.
"""

from __future__ import annotations

from time import perf_counter

import attrs
import trio

from common.limits import GROUND_LOOK_SECONDS, GROUND_SHARE_MAX, TERRAINS_MAX
from shard.chunks import Chunks
from shard.live import Live
from shard.world.terrain import terrain_of


@attrs.define(eq=False)
class Ground:
    _chunks: Chunks
    _laid: set[Live] = attrs.field(factory=set, init=False)

    async def run(self) -> None:
        """See to it until cancelled."""
        while True:
            await trio.sleep(GROUND_LOOK_SECONDS)
            awake = [live for live in self._chunks if not live.is_resting]
            self._laid.intersection_update(awake)
            # More are not remembered, so doing more would be undoing some.
            for live in awake[:TERRAINS_MAX]:
                if live not in self._laid:
                    await self._lay(live)

    async def _lay(self, live: Live) -> None:
        started = perf_counter()
        terrain_of(live.state.seed, live.id, live.state.generation)
        self._laid.add(live)
        await trio.sleep((perf_counter() - started) * (1 / GROUND_SHARE_MAX - 1))
