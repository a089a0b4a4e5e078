"""The one task that publishes: what one shard process says, goes out in the order it was said.

It repeats a call that failed until it works: everything in it is safe to repeat. It decides
nothing, but tells when a chunk turns out to be somebody else's by now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from common.bus import Outgoing
from common.grid import ChunkId
from common.limits import PUBLISH_BATCH_MAX, REDIS_SECONDS_MAX
from shard.emission import Emission
from shard.outbox import Outbox
from shard.patience import insist
from shard.ports import Bus


async def publish(
    outbox: Outbox,
    records: Outbox,
    bus: Bus,
    *,
    lose: Callable[[ChunkId], None],
    finish: Callable[[Iterable[str]], None],
) -> None:
    """Publish until ``outbox`` is closed and empty; then close ``records``."""
    while batch := await outbox.take(PUBLISH_BATCH_MAX):
        for chunk in await _publish(_gathered(batch), bus):
            lose(chunk)
        for emission in batch:
            finish(emission.receipts)
            if emission.is_for_the_record:
                records.put(emission)
        await records.wait_room()
    records.close()


async def _publish(outgoing: Outgoing, bus: Bus) -> frozenset[ChunkId]:
    if outgoing == _NOTHING:
        return frozenset()
    return await insist("publishing", REDIS_SECONDS_MAX, lambda: bus.publish(outgoing))


def _gathered(batch: Sequence[Emission]) -> Outgoing:
    return Outgoing(
        deltas=[delta for emission in batch for delta in emission.deltas],
        lines=[line for emission in batch for line in emission.lines],
        replies=[reply for emission in batch for reply in emission.replies],
        forwards=[forward for emission in batch for forward in emission.forwards],
        refused=[refused for emission in batch for refused in emission.refused],
    )


_NOTHING = Outgoing([], [], [], [], [])
