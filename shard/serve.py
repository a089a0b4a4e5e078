"""A shard process' life: wait for a slot, serve it, and begin again when it is lost.

Nothing of a slot outlives its lease. On ``stop`` the slot is put in order and given back.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import structlog
import trio

from common import topics
from common.journal import World
from common.limits import POSTGRES_SECONDS_MAX
from shard.lease import Lease, hold, wait_lease
from shard.outside import Outside
from shard.patience import insist
from shard.slot import serve_slot

T = TypeVar("T")

_log = structlog.get_logger()


async def serve(outside: Outside, name: str, stop: trio.Event) -> None:
    """Serve one slot after another until ``stop``."""
    for tenure in itertools.count(1):
        holder = topics.holder(name, tenure)
        found = await _until(stop, partial(_find, outside, holder))
        if found is None:
            return
        await _serve_one(outside, holder, *found, stop)


async def _find(outside: Outside, holder: str) -> tuple[Lease, World]:
    world = await insist("reading the world", POSTGRES_SECONDS_MAX, outside.journal.world)
    return await wait_lease(outside.leases, outside.journal, holder), world


async def _serve_one(
    outside: Outside, holder: str, lease: Lease, world: World, stop: trio.Event
) -> None:
    _log.info("slot taken", slot=lease.routes.slot, holder=holder)
    await hold(
        outside.leases,
        lease,
        holder,
        lambda lose: serve_slot(outside, lease.routes, holder, world.seed, stop, lose),
    )


async def _until(stop: trio.Event, call: Callable[[], Awaitable[T]]) -> T | None:
    """Return what ``call`` returns; None when ``stop`` came first."""
    result: T | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_at, stop, nursery.cancel_scope)
        if not stop.is_set():
            result = await call()
        nursery.cancel_scope.cancel()
    return result


async def _cancel_at(stop: trio.Event, scope: trio.CancelScope) -> None:
    await stop.wait()
    scope.cancel()
