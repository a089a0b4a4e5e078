"""Whether the process lives, and whether it can do its work now.

``missing_now`` is for the private port too. Readiness asks Redis, PostgreSQL and the slots'
leases, all at once, and gives each REDIS_SECONDS_MAX.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

import attrs
import trio

from common.errors import Trouble
from common.limits import REDIS_SECONDS_MAX
from gateway.http.callers import anybody
from gateway.http.outside import Outside
from gateway.http.route import Ask, Route


@attrs.frozen
class Healthy:
    status: Literal["ok"] = attrs.field(default="ok", kw_only=True)


@attrs.frozen
class Ready:
    redis: Literal["ok"] = attrs.field(default="ok", kw_only=True)
    postgres: Literal["ok"] = attrs.field(default="ok", kw_only=True)
    shards: Literal["ok"] = attrs.field(default="ok", kw_only=True)
    status: Literal["ok"] = attrs.field(default="ok", kw_only=True)


@attrs.frozen
class Unready:
    """Each is ``ok`` or says in words what is missing."""

    redis: str
    postgres: str
    shards: str
    status: Literal["unready"] = attrs.field(default="unready", kw_only=True)


async def missing_now(outside: Outside) -> Mapping[str, str]:
    """Return what is missing as name -> why; nothing: this gateway can serve."""
    missing: dict[str, str] = {}

    async def look(name: str, find: Callable[[], Awaitable[str | None]]) -> None:
        why: str | None = f"no answer within {REDIS_SECONDS_MAX:g} s"
        with trio.move_on_after(REDIS_SECONDS_MAX):
            try:
                why = await find()
            except Trouble:
                why = "unreachable"
        if why is not None:
            missing[name] = why

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look, "redis", outside.bus.ping)
        nursery.start_soon(look, "postgres", outside.accounts.ping)
        nursery.start_soon(look, "shards", lambda: _vacant(outside))
    return missing


async def _vacant(outside: Outside) -> str | None:
    held = (await outside.bus.counts()).slots
    vacant = [slot for slot in range(outside.routes.topology.shard_count) if slot not in held]
    return f"nobody holds slot {', '.join(map(str, vacant))}" if vacant else None


async def show_health(_ask: Ask[None, None]) -> Healthy:
    return Healthy()


async def show_readiness(ask: Ask[None, None]) -> Ready | Unready:
    missing = await missing_now(ask.outside)
    if not missing:
        return Ready()
    return Unready(*(missing.get(name, "ok") for name in ("redis", "postgres", "shards")))


ROUTES = (
    Route(
        "GET",
        "/healthz",
        "Whether the process lives",
        anybody,
        type(None),
        show_health,
        answers={Healthy: 200},
    ),
    Route(
        "GET",
        "/readyz",
        "Whether it can serve, or what is missing",
        anybody,
        type(None),
        show_readiness,
        answers={Ready: 200, Unready: 503},
    ),
)
