"""What the HTTP calls need from outside, handed in once, and how ``make_app`` is wired.

A value without behaviour. It is the only thing that a call can reach beside its own request.
"""

from __future__ import annotations

from typing import Protocol

import attrs

from common.bus import Offer, Verdict
from common.frames import Position
from common.grid import AgentId, ChunkId
from common.settings import Settings
from common.traces import NO_SPANS, Spans
from gateway.moderation import Moderator
from gateway.ports import Accounts, Bus, Clock, Operators
from gateway.topology import Routes


class Courier(Protocol):
    """Carries offers to Redis, those of many callers together."""

    async def offer(self, offer: Offer) -> Verdict:
        """Carry out ``offer``. May raise Unavailable or InDoubt."""


class Whereabouts(Protocol):
    """What this gateway's feeds know of agents that are in the world."""

    def position(self, agent: AgentId, chunk: ChunkId) -> Position | None:
        """Return where ``agent`` is, if ``chunk`` is followed here just now and has it."""


@attrs.frozen
class Outside:
    bus: Bus
    accounts: Accounts
    clock: Clock
    courier: Courier
    routes: Routes
    settings: Settings
    whereabouts: Whereabouts
    operators: Operators
    moderator: Moderator
    spans: Spans = NO_SPANS
