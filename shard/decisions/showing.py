"""What a chunk looks like, for whoever begins to watch it. Nothing is created by looking.

Pure.
"""

from __future__ import annotations

from common import wire
from common.bus import Received
from common.envelopes import ShowAsked, Shown
from common.frames import ChunkStatic
from shard.decisions.plan import Decision, Round
from shard.world.show import static_of, untouched


def show(now: Round, received: Received, message: ShowAsked) -> Decision:
    live = now.live(message.chunk)
    if live is not None:
        return _shown(received, message, static_of(live.state))
    if message.chunk not in now.findings.generations:
        return Decision(received, unshown=message.chunk)
    generation, tick = now.findings.generations[message.chunk]
    if tick > 0:
        # It exists, and whoever had the slot before may have let somebody in since we listed.
        return Decision(received, missing=message.chunk)
    return _shown(received, message, untouched(now.seed, message.chunk, generation, tick))


def _shown(received: Received, message: ShowAsked, static: ChunkStatic) -> Decision:
    shown = Shown(message.chunk, wire.encode(static).decode())
    return Decision(received, replies=((message.gateway, shown),))
