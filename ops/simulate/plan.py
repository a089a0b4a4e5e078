"""What is simulated: the sizes, the faults, and the seed that decides all the rest."""

from __future__ import annotations

import enum
import random

import attrs


class Fault(enum.StrEnum):
    """What may go wrong; see ``weather`` and ``storm``."""

    PUBSUB = "pubsub"
    """Messages to gateways are lost, late, doubled, out of order."""
    CALLS = "calls"
    """Calls to PostgreSQL and Redis are slow, lost, done late, done without an answer."""
    KILLS = "kills"
    PAUSES = "pauses"
    OUTAGES = "outages"
    FLUSHES = "flushes"
    CLOCKS = "clocks"
    RESHARDS = "reshards"
    """The number of shards changes."""
    DRAINS = "drains"
    """Shard processes hand over what they have, and end."""
    CUTS = "cuts"
    """Clients lose their connections, and resume elsewhere."""


ALL_FAULTS = frozenset(Fault)


@attrs.frozen
class Plan:
    seed: int
    minutes: float = 1.0
    gateways: int = 2
    shards: int = 3
    agents: int = 50
    spectators: int = 4
    faults: frozenset[Fault] = ALL_FAULTS
    reconnects: int = 0
    """So many connections are cut by force, and come back, before the storm ends; 0: none is."""

    def with_seed(self, seed: int) -> Plan:
        return attrs.evolve(self, seed=seed)

    def dice(self, whose: str) -> random.Random:
        """Dice of its own for everybody who draws, so that one more draw disturbs no other."""
        return random.Random(f"{self.seed} {whose}")  # noqa: S311  Chance that can be repeated.

    @property
    def command(self) -> str:
        """What to type to see it again."""
        faults = ",".join(sorted(self.faults)) if self.faults != ALL_FAULTS else "all"
        return (
            f"tessera simulate --seed {self.seed} --minutes {self.minutes:g}"
            f" --gateways {self.gateways} --shards {self.shards} --agents {self.agents}"
            f" --spectators {self.spectators} --faults {faults or 'none'}"
            f"{f' --reconnects {self.reconnects}' if self.reconnects else ''}"
        )


def faults_named(text: str) -> frozenset[Fault]:
    """Read ``all``, ``none``, or names with commas between; ValueError for others."""
    if text in ("all", "none"):
        return ALL_FAULTS if text == "all" else frozenset()
    return frozenset(Fault(name.strip()) for name in text.split(","))
