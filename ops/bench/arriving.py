"""A crowd that comes within a second: when all of them have seen the chunk."""

from __future__ import annotations

import attrs

from ops.bench.crowds import a_crowd, a_gateway
from ops.bench.meter import usage
from ops.bench.outcome import Figure
from ops.bench.rig import Rig
from ops.bench.source import a_source, speaking

STATIC_S = 3.0


@attrs.frozen
class Size:
    readers: int = 1_000
    within_seconds: float = 1.0


async def measure(rig: Rig, size: Size) -> list[Figure]:
    """Nobody has watched the chunk before, so the gateway has to ask for it first."""
    async with (
        rig.site("arriving") as site,
        a_source(site.redis) as source,
        a_gateway(rig, site) as gateway,
        speaking(source),
    ):
        before = usage(gateway.pid).cpu
        with a_crowd(gateway, size.readers, size.within_seconds) as crowd:
            report = await crowd.wait_whole(statics=True)
            cpu = usage(gateway.pid).cpu - before
    case = f"C. {size.readers:,} arrive within {size.within_seconds:g} s"
    missing = size.readers - report.first_statics
    return [
        Figure(case, "without chunk_static", missing, most=0),
        Figure(case, "the last chunk_static after", report.first_static_s, "s", most=STATIC_S),
        Figure(case, "CPU of the gateway, each", cpu / size.readers * 1e6, "µs"),
    ]
