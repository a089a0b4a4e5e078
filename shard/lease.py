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
    REDIS_SECONDS_MAX,
)
from shard import metrics
from shard.patience import bounded
from shard.ports import Leases

_log = structlog.get_logger()

LEASE_SECONDS = LEASE_MS / 1000
RENEW_SECONDS = LEASE_SECONDS / LEASE_RENEWALS


@attrs.frozen
class Lease:
    slot: Slot
    until: float
    """By trio's clock."""


async def try_lease(leases: Leases, slot: Slot, holder: str) -> Lease | None:
    """Take ``slot`` for ``holder`` if it is free. Trouble."""
    started = trio.current_time()
    if not await bounded(REDIS_SECONDS_MAX, lambda: leases.acquire(slot, holder)):
        return None
    metrics.LEASES.labels("acquired").inc()
    return Lease(slot, started + LEASE_SECONDS)


Work = Callable[[Callable[[], None]], Awaitable[None]]
"""Calls its argument when it finds out by itself that the lease is lost."""


async def hold(leases: Leases, lease: Lease, holder: str, work: Work) -> None:
    """Do ``work`` and renew ``lease`` meanwhile; cancel the work at once when it is lost.

    Work that ends by itself gives the slot back.
    """
    slot = lease.slot
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
