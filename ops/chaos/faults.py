"""What will be done to the world and when, all of it drawn from a seed before anything starts.

Pure. Every kind comes as often as every other: they are dealt out of a shuffled bag.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal, get_args

import attrs

from common.limits import LEASE_MS

Kind = Literal[
    "kill shard",
    "pause shard",
    "drain shard",
    "reshard",
    "kill gateway",
    "kill redis",
    "kill postgres",
    "cut subscriptions",
]
KINDS: Sequence[Kind] = get_args(Kind)

FIRST_SECONDS = 2.0  # Into the load, so that there is something to lose.
GAP_SECONDS = (2.5, 7.0)  # Most things have recovered when the next one comes,
OVERLAP_SECONDS = (0.0, 1.5)  # and now and then they have not:
OVERLAP_CHANCE = 0.2
SHARD_COUNTS = (2, 3, 4)  # The slots that faults name are always there.
PAUSE_SECONDS = (LEASE_MS / 1000 + 1.0, LEASE_MS / 1000 + 4.0)  # Longer than the lease, surely.


@attrs.frozen
class Fault:
    at: float
    """Seconds since the load began."""
    kind: Kind
    n: int = 0
    """The slot whose holder it is, the gateway, or how many shards there are to be."""
    seconds: float = 0.0
    """How long a pause lasts."""


def draw_faults(seed: int, seconds: float, gateways: int, slots: int) -> Sequence[Fault]:
    """Return the faults of a load of ``seconds``, the last of them over by its end."""
    chance = random.Random(f"faults {seed}")  # noqa: S311 - reproducible, no secret.
    faults: list[Fault] = []
    bag: list[Kind] = []
    at = FIRST_SECONDS
    while True:
        if not bag:
            bag = list(KINDS)
            chance.shuffle(bag)
        fault = _draw(chance, at, bag.pop(), gateways, slots)
        if fault.at + fault.seconds >= seconds:
            return faults
        faults.append(fault)
        if chance.random() < OVERLAP_CHANCE:
            at += chance.uniform(*OVERLAP_SECONDS)
        else:
            at += fault.seconds + chance.uniform(*GAP_SECONDS)


def _draw(chance: random.Random, at: float, kind: Kind, gateways: int, slots: int) -> Fault:
    match kind:
        case "kill shard" | "drain shard":
            return Fault(at, kind, chance.randrange(slots))
        case "reshard":
            return Fault(at, kind, chance.choice(SHARD_COUNTS))
        case "pause shard":
            return Fault(at, kind, chance.randrange(slots), chance.uniform(*PAUSE_SECONDS))
        case "kill gateway":
            return Fault(at, kind, chance.randrange(gateways))
        case "kill redis" | "kill postgres" | "cut subscriptions":
            return Fault(at, kind)
