"""What real processes show Prometheus, held against ops/metrics.md."""

from __future__ import annotations

import httpx
import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from common.grid import ChunkId
from ops.client import spectate
from tests.end_to_end.cluster import Cluster
from tests.end_to_end.stranger import joined
from tests.ops.metrics_list import Listed, listed

pytestmark = pytest.mark.cluster

ELSEWHERE = {"gateway": "A shard", "shard": "A gateway"}


async def _busy(cluster: Cluster, name: str) -> None:
    """Something of everything: calls, a command, a refusal, a spectator."""
    async with httpx.AsyncClient(base_url=cluster.url(), trust_env=False) as http:
        await http.get("/v1/world")
        await http.get(f"/v1/agents/{name}")
        await http.get("/v1/keys", headers={"Authorization": "Bearer nonsense"})
    async with spectate(cluster.url(), [ChunkId("0:0")]) as spectator:
        await anext(aiter(spectator))
    async with joined(cluster.url(), name) as stranger:
        await stranger.ask("c-1", {"name": "wait", "ticks": 1})
        await stranger.next_for("c-1", "result")
        await stranger.ask("c-2", {"name": "wait", "ticks": 0})
    await trio.sleep(1.5)  # Tallies settle once a second.


@pytest.mark.parametrize("role", ["gateway", "shard"])
async def test_a_process_shows_what_is_listed_and_nothing_else(
    cluster: Cluster, name: str, role: str
) -> None:
    await _busy(cluster, name)
    shown = {
        family.name: family for family in text_string_to_metric_families(cluster.metrics(role, 0))
    }
    expected: dict[str, Listed] = {
        one.family: one for one in listed() if one.section != ELSEWHERE[role]
    }
    assert set(shown) == set(expected)
    for name_, family in shown.items():
        one = expected[name_]
        assert family.type == one.kind, name_
        for sample in family.samples:
            assert sample.name in one.series
            assert frozenset(sample.labels) == one.series[sample.name], sample


async def test_what_happened_is_in_the_numbers(cluster: Cluster, name: str) -> None:
    await _busy(cluster, name)
    told: dict[tuple[str, ...], float] = {}
    for role, n in (("gateway", 0), ("shard", 0), ("shard", 1)):
        for family in text_string_to_metric_families(cluster.metrics(role, n)):
            for sample in family.samples:
                key = (sample.name, *sorted(sample.labels.values()))
                told[key] = told.get(key, 0) + sample.value
    for key in (
        ("tessera_agent_acks_total", "accepted"),
        ("tessera_agent_acks_total", "validation_failed"),
        ("tessera_agent_results_total", "completed"),
        ("tessera_agent_challenges_total", "issued"),
        ("tessera_agent_challenges_total", "proven"),
        ("tessera_shard_commands_total", "accepted"),
        ("tessera_shard_journal_commit_seconds_count",),
        ("tessera_shard_tick_lateness_seconds_count",),
        ("tessera_shard_leases_total", "acquired"),
        ("tessera_spectator_events_total",),
        ("tessera_gateway_lateness_seconds_count",),
        ("tessera_redis_call_seconds_count", "offer", "ok"),
        ("tessera_redis_call_seconds_count", "ok", "publish"),
        ("tessera_postgres_call_seconds_count", "journaling", "ok"),
    ):
        assert told.get(key, 0) > 0, key
    assert told["tessera_gateway_queue", "offers"] >= 0
