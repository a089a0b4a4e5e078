"""When a chunk need not tick: nothing would happen but the passing of time.

Pure. A chunk is idle while everybody in it stands and has nothing to do, or is frozen at a border:
then only an input changes anything, and any number of ticks can be taken in one step.
"""

from __future__ import annotations

import attrs

from common.grid import Tick
from shard.world.state import Chunk


def is_idle(chunk: Chunk) -> bool:
    """Whether ``advance`` without inputs would change nothing but the tick."""
    for agent in chunk.agents.values():
        if agent.doing is not None and agent.transfer is None:
            return False
    return True


def skip_to(chunk: Chunk, tick: Tick) -> Chunk:
    """Return the idle ``chunk`` as it is at ``tick``: the same as ticking it that far."""
    assert tick >= chunk.tick, f"{chunk.id} cannot go back from {chunk.tick} to {tick}"
    assert tick == chunk.tick or is_idle(chunk), f"{chunk.id} is not idle at {chunk.tick}"
    return attrs.evolve(chunk, tick=tick)
