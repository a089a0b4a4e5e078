"""What is outside of a shard, together: the adapters that ``main`` made."""

from __future__ import annotations

import attrs

from shard.ports import Bus, Journal, Leases


@attrs.frozen
class Outside:
    bus: Bus
    leases: Leases
    journal: Journal
