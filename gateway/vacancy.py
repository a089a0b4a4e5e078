"""How many slots there are, and how many of them somebody holds, for the metrics.

A gateway counts, for a shard that holds no slot may be one that can't say so. It does nothing about
it: spares do. While Redis is away nobody knows, and what was counted last is shown.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NoReturn

import trio

from common.errors import Trouble
from common.limits import REDIS_SECONDS_MAX, VACANCY_LOOK_SECONDS
from gateway.metrics import SLOTS
from gateway.ports import Bus
from gateway.topology import Routes


async def keep_counted(bus: Bus, routes: Routes) -> NoReturn:
    """Count until cancelled; nothing is shown before the first answer."""
    while True:
        with suppress(Trouble), trio.move_on_after(REDIS_SECONDS_MAX):
            held = (await bus.counts()).slots
            in_force = routes.topology.slots
            SLOTS.labels("in_force").set(len(in_force))
            SLOTS.labels("held").set(len(in_force & held))
        await trio.sleep(VACANCY_LOOK_SECONDS)
