"""Which slot a process holds, and that it stops by itself when it can't be sure any more.

A hint that keeps two processes from working against each other; what makes that harmless when it
happens all the same is the epoch. Counted from before each call, by trio's monotonic clock: at
Redis the lease ends later than here, never earlier.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import structlog
import trio

from common.errors import Trouble
from common.grid import Slot
from common.limits import (
    LEASE_MS,
    LEASE_RENEWALS,
    POSTGRES_SECONDS_MAX,
    REDIS_SECONDS_MAX,
    SPARE_SECONDS,
)
from shard import metrics
from shard.patience import bounded
from shard.ports import Journal, Leases
from shard.routes import Routes

_log = structlog.get_logger()

LEASE_SECONDS = LEASE_MS / 1000
RENEW_SECONDS = LEASE_SECONDS / LEASE_RENEWALS


@attrs.frozen
class Lease:
    routes: Routes
    until: float
    """By trio's clock."""


async def wait_lease(leases: Leases, journal: Journal, holder: str) -> Lease:
    """Stand by as a spare until a slot is free, and take it."""
    is_said = False
    while True:
        try:
            lease = await _try_slots(leases, journal, holder)
            if lease is not None:
                return lease
            trouble = None
        except Trouble as error:
            trouble = str(error)
        if not is_said:
            _log.info("standing by as a spare", holder=holder, trouble=trouble)
            is_said = True
        await trio.sleep(SPARE_SECONDS)


async def _try_slots(leases: Leases, journal: Journal, holder: str) -> Lease | None:
    topology = (await bounded(POSTGRES_SECONDS_MAX, journal.topologies)).in_force
    for slot in map(Slot, range(topology.shard_count)):
        started = trio.current_time()
        if await bounded(REDIS_SECONDS_MAX, lambda: leases.acquire(slot, holder)):  # noqa: B023
            metrics.LEASES.labels("acquired").inc()
            return Lease(Routes(slot, topology.shard_count), started + LEASE_SECONDS)
    return None


Work = Callable[[Callable[[], None]], Awaitable[None]]
"""Calls its argument when it finds out by itself that the lease is lost."""


async def hold(leases: Leases, lease: Lease, holder: str, work: Work) -> None:
    """Do ``work`` and renew ``lease`` meanwhile; cancel the work at once when it is lost.

    Work that ends by itself gives the slot back.
    """
    slot = lease.routes.slot
    with trio.CancelScope(deadline=lease.until) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_renew, leases, slot, holder, scope)
            await work(scope.cancel)
            nursery.cancel_scope.cancel()
        await _release(leases, slot, holder)
    if scope.cancelled_caught:
        metrics.LEASES.labels("lost").inc()
        _log.warning("lease lost", slot=slot, holder=holder)


async def _renew(leases: Leases, slot: Slot, holder: str, scope: trio.CancelScope) -> None:
    pause = RENEW_SECONDS
    while True:
        await trio.sleep(pause)
        started = trio.current_time()
        try:
            is_held = await bounded(RENEW_SECONDS, lambda: leases.renew(slot, holder))
        except Trouble as trouble:
            _log.warning("cannot renew the lease", slot=slot, trouble=str(trouble))
            pause = RENEW_SECONDS / 4  # There is time for some more tries.
            continue
        if not is_held:
            scope.cancel()
            return
        scope.deadline = started + LEASE_SECONDS
        pause = RENEW_SECONDS


async def _release(leases: Leases, slot: Slot, holder: str) -> None:
    try:
        await bounded(RENEW_SECONDS, lambda: leases.release(slot, holder))
        metrics.LEASES.labels("released").inc()
    except Trouble as trouble:
        # It runs out by itself.
        _log.warning("cannot give the lease back", slot=slot, trouble=str(trouble))
