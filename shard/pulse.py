"""Once a second: how this process and each of its slots is doing, for Redis and for the metrics."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import attrs
import trio

from common.errors import Trouble
from common.limits import BEAT_SECONDS, REDIS_SECONDS_MAX
from shard import metrics
from shard.beats import Figures
from shard.crew import Crew
from shard.patience import bounded
from shard.ports import Bus


async def pulse(bus: Bus, crew: Crew) -> None:
    """Beat until cancelled. What can't be said is said the next time."""
    while True:
        with suppress(Trouble):
            await crew.beat()
        await _beat_slots(bus, crew)
        await trio.sleep(BEAT_SECONDS)


async def _beat_slots(bus: Bus, crew: Crew) -> None:
    total = Figures()
    for tenure in crew.serving:
        if tenure.beats is None:
            continue
        beat, figures = tenure.beats.count()
        total += figures
        said = attrs.evolve(beat, is_draining=crew.is_draining)
        with suppress(Trouble):
            await bounded(REDIS_SECONDS_MAX, partial(bus.beat, tenure.slot, said))
    _show(total)


def _show(total: Figures) -> None:
    metrics.AGENTS.set(total.agents)
    metrics.CHUNKS.set(total.chunks)
    metrics.CHUNKS_AWAKE.set(total.awake)
    metrics.CHUNKS_PENDING.set(total.pending)
    for queue in ("inbox", "held", "outbox", "records"):
        metrics.QUEUE.labels(queue).set(getattr(total, queue))
