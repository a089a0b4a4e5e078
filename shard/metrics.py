"""What a shard process counts. The names are fixed: dashboards and alerts are built on them.

No label has values that come from outside, so their number is bounded.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()
"""Of a shard alone: a process may have imported what others are made of, too."""

TICK_SECONDS = Histogram(
    "tessera_shard_tick_seconds",
    "Time to make one tick of one chunk",
    buckets=(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2),
    registry=REGISTRY,
)
LATENESS_SECONDS = Histogram(
    "tessera_shard_tick_lateness_seconds",
    "How much later than due a tick began",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
    registry=REGISTRY,
)
PAUSE_SECONDS = Histogram(
    "tessera_shard_reshard_pause_seconds",
    "How long a chunk at work stood still on its way here: last tick due there to first tick here",
    buckets=(0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2, 5),
    registry=REGISTRY,
)
JOURNAL_SECONDS = Histogram(
    "tessera_shard_journal_commit_seconds",
    "Time to commit one batch of inputs",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
    registry=REGISTRY,
)
JOURNAL_ROWS = Histogram(
    "tessera_shard_journal_commit_rows",
    "Inputs in one commit",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
    registry=REGISTRY,
)
COMMANDS = Counter(
    "tessera_shard_commands_total",
    "Commands decided: accepted, known (answered before), or the code they were refused with",
    ["outcome"],
    registry=REGISTRY,
)
CROSSINGS = Counter(
    "tessera_shard_crossings_total",
    "Departures settled: entered, refused (also called off)",
    ["outcome"],
    registry=REGISTRY,
)
CHUNKS = Gauge("tessera_shard_chunks", "Chunks held, also those that rest", registry=REGISTRY)
CHUNKS_AWAKE = Gauge("tessera_shard_chunks_awake", "Chunks that tick", registry=REGISTRY)
CHUNKS_PENDING = Gauge(
    "tessera_shard_chunks_pending",
    "Chunks of this process' slots yet to be loaded",
    registry=REGISTRY,
)
CHUNKS_LOST = Counter(
    "tessera_shard_chunks_lost_total", "Chunks dropped: another has taken them", registry=REGISTRY
)
CHUNKS_SPOILT = Counter(
    "tessera_shard_chunks_spoilt_total",
    "Chunks that could not be recovered: a bug, see the log",
    registry=REGISTRY,
)
CHUNKS_COLLECTED = Counter(
    "tessera_shard_chunks_collected_total",
    "Chunks that nobody was in, or watched, for long",
    registry=REGISTRY,
)
AGENTS = Gauge("tessera_shard_agents", "Agents in the chunks held", registry=REGISTRY)
QUEUE = Gauge(
    "tessera_shard_queue", "What waits in a queue of this process", ["queue"], registry=REGISTRY
)
DROPPED = Counter(
    "tessera_shard_dropped_total",
    "What found a queue full: a message of a shard to itself, which will be repeated",
    ["queue"],
    registry=REGISTRY,
)
LEASES = Counter("tessera_shard_leases_total", "What became of slots", ["event"], registry=REGISTRY)

# Shown from the start: an alert that waits for the first of these can't tell a counter that appears
# with it from one that was never asked for.
for _event in ("acquired", "released", "lost"):
    LEASES.labels(_event)
DROPPED.labels("inner")
