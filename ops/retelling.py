"""The deltas of a chunk again, from its journal and its snapshots: what must have been published.

Pure. It believes nothing that was streamed: each tick is made anew with ``advance``, and says what
a shard would have said. Where the journal ends the chunk goes on by itself, as it did.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from common.grid import Epoch, Tick
from common.journal import History
from ops.rebuild import Rebuilding
from ops.transcript import Original
from shard.emission import emission_of
from shard.world.inputs import Input
from shard.world.state import Chunk
from shard.world.tick import TickResult, advance


@attrs.frozen
class Retold:
    """``differences``: where the journal is not what it was, see ``ops.rebuild``."""

    original: Original
    differences: Sequence[str]


def retell(history: History, seed: int, until: Tick) -> Retold:
    """Return what was said after ``history.first`` up to ``until``."""
    original = Original()

    def step(chunk: Chunk, inputs: Sequence[Input]) -> TickResult:
        result = advance(chunk, inputs)
        emission = emission_of(chunk, Epoch(0), result)
        for delta in emission.deltas if emission is not None else ():
            original.add(delta.tick, delta.data)
        return result

    rebuilding = Rebuilding(history, seed, step)
    for _ in rebuilding.ticks(until):
        pass
    return Retold(original, [*map(str, rebuilding.differences)])


def differences(published: Original, history: History, seed: int) -> Iterator[str]:
    """Yield what of ``published`` does not follow from ``history``, or does and is not in it.

    Only what its journal reaches back to. What was published last may not be all there is.
    """
    if not published.ticks:
        return
    retold = retell(history, seed, published.ticks[-1])
    yield from retold.differences
    first = history.first
    for tick in sorted({*retold.original.ticks, *(t for t in published.ticks if t > first)}):
        made, said = retold.original.data.get(tick), published.data.get(tick)
        if made != said:
            yield f"{history.chunk} at {tick} was published as {said!r}, the journal says {made!r}"
