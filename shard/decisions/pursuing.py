"""Following an agent that is not where a message looks for it.

Pure. A trail leads from departure to departure, each later than the one before, so it can't go
round in circles; where there is none, what PostgreSQL recorded is the word.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from common.bus import Received
from common.envelopes import Attach, CancelOffered, CommandOffered, Detach
from common.grid import ChunkId
from common.limits import HOPS_MAX
from shard.decisions.plan import Decision, Round
from shard.decisions.refusing import refuse

Pursuer = CommandOffered | CancelOffered | Attach | Detach


def pursue(
    now: Round,
    received: Received,
    message: Pursuer,
    nowhere: Callable[[], Decision],
) -> Decision:
    """Send ``message`` after its agent; ``nowhere`` decides when this is where it was last."""
    target = now.trails.get(message.agent)
    if target is None:
        if message.agent in now.findings.trouble:
            return refuse(received, message)
        if message.agent not in now.findings.whereabouts:
            return Decision(received, sought=message.agent)
        target = now.findings.whereabouts[message.agent]
    if target is None or target == message.chunk:
        return nowhere()
    return _after(now, received, message, target)


def _after(now: Round, received: Received, message: Pursuer, target: ChunkId) -> Decision:
    if message.hops >= HOPS_MAX:
        return refuse(received, message)
    onward = attrs.evolve(message, chunk=target, hops=message.hops + 1)
    return Decision(received, forwards=((now.routes.slot_of(target), onward),))
