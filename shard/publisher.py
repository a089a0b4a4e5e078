"""The one task that publishes: what one shard process says, goes out in the order it was said.

It repeats a call that failed until it works: everything in it is safe to repeat. It decides
nothing, but tells when a chunk, or the whole slot, turns out to be somebody else's by now.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

from common.bus import Outgoing
from common.grid import ChunkId
from common.limits import PUBLISH_BATCH_MAX, REDIS_SECONDS_MAX
from shard.emission import Emission
from shard.outbox import Outbox
from shard.patience import insist

Send = Callable[[Outgoing], Awaitable[frozenset[ChunkId] | None]]
"""``Bus.publish`` as the holder of the slot."""


async def publish(
    outbox: Outbox,
    records: Outbox,
    send: Send,
    *,
    lose: Callable[[ChunkId], None],
    lose_slot: Callable[[], Awaitable[None]],
    finish: Callable[[Iterable[str]], None],
) -> None:
    """Publish until ``outbox`` is closed and empty; then close ``records``.

    ``lose_slot`` does not return: what could not be said is said by whoever comes next.
    """
    while batch := await outbox.take(PUBLISH_BATCH_MAX):
        lost = await _publish(_gathered(batch), send)
        if lost is None:
            await lose_slot()
            raise AssertionError("a lost slot is cancelled")
        for chunk in lost:
            lose(chunk)
        for emission in batch:
            finish(emission.receipts)
            if emission.is_for_the_record:
                records.put(emission)
        await records.wait_room()
    records.close()


async def _publish(outgoing: Outgoing, send: Send) -> frozenset[ChunkId] | None:
    if outgoing == _NOTHING:
        return frozenset()
    return await insist("publishing", REDIS_SECONDS_MAX, lambda: send(outgoing))


def _gathered(batch: Sequence[Emission]) -> Outgoing:
    return Outgoing(
        deltas=[delta for emission in batch for delta in emission.deltas],
        lines=[line for emission in batch for line in emission.lines],
        refusals=[refusal for emission in batch for refusal in emission.refusals],
        replies=[reply for emission in batch for reply in emission.replies],
        forwards=[forward for emission in batch for forward in emission.forwards],
    )


_NOTHING = Outgoing([], [], [], [], [])
