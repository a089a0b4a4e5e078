"""A shard process' life: it serves the slots that fall to it, until it is told to end.

Told to ``drain`` it hands over one slot after the other and takes none; told to ``stop`` it puts
all of them in order at once. Either way they are given back, and nothing is lost if it is cut off.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

import trio

from common.errors import Trouble
from common.journal import World
from common.limits import POSTGRES_SECONDS_MAX, REDIS_SECONDS_MAX
from common.topology import Topologies
from shard.crew import Crew
from shard.outlook import Outlook
from shard.outside import Outside
from shard.patience import bounded, insist
from shard.pruning import prune
from shard.pulse import pulse

T = TypeVar("T")


async def serve(outside: Outside, name: str, stop: trio.Event, drain: trio.Event) -> None:
    """Serve until ``stop``, or until all is handed over after ``drain``."""
    found = await _until((stop, drain), partial(_find, outside))
    if found is None:
        return  # Nothing is ours yet.
    world, topologies = found
    outlook = Outlook(outside.bus, outside.journal, name, topologies)
    async with trio.open_nursery() as aside, trio.open_nursery() as serving:
        crew = Crew(outside, outlook, name, world.seed, serving)
        aside.start_soon(pulse, outside.bus, crew)
        aside.start_soon(prune, outside.journal)
        aside.start_soon(_drain_at, drain, crew)
        await _until((stop,), crew.run)
        crew.stop()
        await _wait_ended(crew)
        aside.cancel_scope.cancel()
    with suppress(Trouble):  # Then its beat runs out.
        await bounded(REDIS_SECONDS_MAX, lambda: outside.bus.part(name))


async def _find(outside: Outside) -> tuple[World, Topologies]:
    journal = outside.journal
    world = await insist("reading the world", POSTGRES_SECONDS_MAX, journal.world)
    return world, await insist("reading the topology", POSTGRES_SECONDS_MAX, journal.topologies)


async def _wait_ended(crew: Crew) -> None:
    for tenure in crew.serving:
        await tenure.ended.wait()


async def _drain_at(drain: trio.Event, crew: Crew) -> None:
    await drain.wait()
    with suppress(Trouble):  # It finds out by itself within LOOK_SECONDS.
        await crew.drain()


async def _until(ends: Sequence[trio.Event], call: Callable[[], Awaitable[T]]) -> T | None:
    """Return what ``call`` returns; None when one of ``ends`` came first."""
    result: T | None = None
    async with trio.open_nursery() as nursery:
        for end in ends:
            nursery.start_soon(_cancel_at, end, nursery.cancel_scope)
        if not any(end.is_set() for end in ends):
            result = await call()
        nursery.cancel_scope.cancel()
    return result


async def _cancel_at(end: trio.Event, scope: trio.CancelScope) -> None:
    await end.wait()
    scope.cancel()
