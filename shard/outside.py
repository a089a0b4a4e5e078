"""What is outside of a shard, together: the adapters that ``main`` made, and its patience."""

from __future__ import annotations

import attrs

from common.limits import COLLECT_SECONDS
from common.traces import NO_SPANS, Spans
from shard.ports import Bus, Clock, Journal, Leases


@attrs.frozen
class Outside:
    bus: Bus
    leases: Leases
    journal: Journal
    clock: Clock
    collect_seconds: float = COLLECT_SECONDS
    """Shorter in simulations; the gateways' must be the same."""
    spans: Spans = NO_SPANS
