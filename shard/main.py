"""The composition root of a shard process: the only place here that knows a real adapter.

It reads no environment and handles no signals; who runs it hands over settings and ``stop``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import trio
import trio_asyncio

from common.adapters.clock import SystemClock
from common.adapters.otlp import open_spans
from common.adapters.postgres import open_postgres
from common.adapters.postgres_journal import PostgresJournal
from common.adapters.private_port import serve_private
from common.adapters.redis import open_redis
from common.adapters.redis_leases import RedisLeases
from common.adapters.redis_shard_bus import RedisShardBus
from common.errors import Misconfigured, Trouble
from common.settings import Settings
from shard.metrics import REGISTRY
from shard.outside import Outside
from shard.serve import serve


async def run(
    settings: Settings,
    *,
    name: str,
    metrics_host: str = "127.0.0.1",
    metrics_port: int,
    stop: trio.Event,
    drain: trio.Event,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve as ``name`` until ``stop``, or until all is handed over after ``drain``.

    Started with the real metrics port (0: a free one).
    """
    if settings.database_url is None or settings.redis_url is None:
        raise Misconfigured("a shard needs DATABASE_URL and REDIS_URL")
    async with (
        open_spans(settings, "shard", name) as spans,
        trio_asyncio.open_loop(),
        open_postgres(settings.database_url) as postgres,
        open_redis(settings.redis_url) as redis,
        trio.open_nursery() as nursery,
    ):
        outside = Outside(
            RedisShardBus(redis),
            RedisLeases(redis),
            PostgresJournal(postgres),
            SystemClock(),
            spans=spans,
        )
        ended = trio.Event()
        port: int = await nursery.start(
            partial(
                serve_private,
                metrics_port,
                partial(_missing, outside),
                REGISTRY,
                stop=ended,
                host=metrics_host,
            )
        )
        task_status.started(port)
        await serve(outside, name, stop, drain)
        ended.set()  # Who watches us on the private port sees us to the end.


async def _missing(outside: Outside) -> Mapping[str, str]:
    """What this process needs and can't reach. A spare is ready, too."""
    missing = {}
    for what, port in (("redis", outside.bus), ("postgres", outside.journal)):
        try:
            await port.ping()
        except Trouble as trouble:
            missing[what] = str(trouble)
    return missing
