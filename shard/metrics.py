"""What a shard process counts. The names are fixed: dashboards and alerts are built on them.

No label has values that come from outside, so their number is bounded.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

TICK_SECONDS = Histogram(
    "tessera_shard_tick_seconds",
    "Time to make one tick of one chunk",
    buckets=(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2),
)
LATENESS_SECONDS = Histogram(
    "tessera_shard_tick_lateness_seconds",
    "How much later than due a tick began",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
PAUSE_SECONDS = Histogram(
    "tessera_shard_reshard_pause_seconds",
    "How long a chunk at work stood still on its way here: last tick due there to first tick here",
    buckets=(0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2, 5),
)
JOURNAL_SECONDS = Histogram(
    "tessera_shard_journal_commit_seconds",
    "Time to commit one batch of inputs",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
JOURNAL_ROWS = Histogram(
    "tessera_shard_journal_commit_rows",
    "Inputs in one commit",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
COMMANDS = Counter(
    "tessera_shard_commands_total",
    "Commands decided: accepted, known (answered before), or the code they were refused with",
    ["outcome"],
)
CROSSINGS = Counter(
    "tessera_shard_crossings_total",
    "Departures settled: entered, refused (also called off)",
    ["outcome"],
)
CHUNKS = Gauge("tessera_shard_chunks", "Chunks held, also those that rest")
CHUNKS_AWAKE = Gauge("tessera_shard_chunks_awake", "Chunks that tick")
CHUNKS_PENDING = Gauge("tessera_shard_chunks_pending", "Chunks of this slot yet to be loaded")
CHUNKS_LOST = Counter("tessera_shard_chunks_lost_total", "Chunks dropped: another has taken them")
CHUNKS_SPOILT = Counter(
    "tessera_shard_chunks_spoilt_total",
    "Chunks that could not be recovered: a bug, see the log",
)
CHUNKS_COLLECTED = Counter(
    "tessera_shard_chunks_collected_total", "Chunks that nobody was in, or watched, for long"
)
AGENTS = Gauge("tessera_shard_agents", "Agents in the chunks held")
QUEUE = Gauge("tessera_shard_queue", "What waits in a queue of this process", ["queue"])
DROPPED = Counter(
    "tessera_shard_dropped_total",
    "What found a queue full: a message of a shard to itself, which will be repeated",
    ["queue"],
)
LEASES = Counter("tessera_shard_leases_total", "What became of slots", ["event"])
