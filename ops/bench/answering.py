"""A command's way through a real gateway and shard: from ``answer`` to ``ack``."""

from __future__ import annotations

from collections.abc import Sequence
from time import process_time

import attrs
import trio

from ops.bench.outcome import Figure, percentile
from ops.bench.rig import Process, Rig
from ops.bench.talkers import Talker, join

P50_MS, P99_MS = 25.0, 250.0
READY_SECONDS_MAX = 30.0


@attrs.frozen
class Size:
    agents: int = 100
    rate: float = 500.0
    seconds: float = 15.0
    warm_seconds: float = 2.0


async def measure(rig: Rig, size: Size) -> list[Figure]:
    async with (
        rig.site("answering") as site,
        rig.shard(site) as shard,
        rig.gateway(site) as gateway,
        trio.open_nursery() as nursery,
    ):
        await wait_served(shard)
        stop = trio.Event()
        talkers = await join(site.url, size.agents, nursery, stop)
        parts = (shard, gateway, rig.database, rig.redis)
        figures = []
        for two_steps in (True, False):
            figures += await _talk(talkers, parts, size, two_steps=two_steps)
        stop.set()
    return figures


async def wait_served(shard: Process) -> None:
    """Until it has its slot: before that nobody can enter."""
    with trio.fail_after(READY_SECONDS_MAX):
        await shard.wait_until(
            lambda now: bool(now.samples.get("tessera_shard_leases_total{event=acquired}"))
        )


async def _talk(
    talkers: Sequence[Talker], parts: Sequence[Process], size: Size, *, two_steps: bool
) -> list[Figure]:
    case = "B. answering, " + ("two steps" if two_steps else "pipelined")
    await _speak(talkers, size, size.warm_seconds, two_steps=two_steps)
    then, began = [part.usage().cpu for part in parts], trio.current_time()
    own = process_time()
    for talker in talkers:
        talker.acks_ms.clear()
        talker.refused.clear()
    await _speak(talkers, size, size.seconds, two_steps=two_steps)
    seconds = trio.current_time() - began
    ours = (process_time() - own) / seconds * 100
    cpu = [
        (part.usage().cpu - early) / seconds * 100 for part, early in zip(parts, then, strict=True)
    ]
    waits = [wait for talker in talkers for wait in talker.acks_ms]
    refused = sum(count for talker in talkers for count in talker.refused.values())
    start = "answer to ack" if two_steps else "request to ack"
    return [
        Figure(case, "accepted a second", len(waits) / seconds, least=size.rate * 0.9),
        Figure(case, "refused a second", refused / seconds),
        Figure(case, f"{start}, p50", percentile(waits, 50), "ms", most=P50_MS),
        Figure(case, f"{start}, p90", percentile(waits, 90), "ms"),
        Figure(case, f"{start}, p99", percentile(waits, 99), "ms", most=P99_MS),
        Figure(case, "CPU, those who command", ours, "%"),
        Figure(case, "CPU, shard", cpu[0], "%"),
        Figure(case, "CPU, gateway", cpu[1], "%"),
        Figure(case, "CPU, PostgreSQL", cpu[2], "%"),
        Figure(case, "CPU, Valkey", cpu[3], "%"),
    ]


async def _speak(talkers: Sequence[Talker], size: Size, seconds: float, *, two_steps: bool) -> None:
    each = size.rate / len(talkers)
    async with trio.open_nursery() as nursery:
        for n, talker in enumerate(talkers):
            talker.two_steps = two_steps
            nursery.start_soon(talker.talk, each, n / size.rate, seconds)
