"""What every process counts about the servers that it talks to, for Prometheus.

Definitions only. Labels are operations of ours and a few outcomes: their number is bounded.
"""

from __future__ import annotations

from prometheus_client import Counter, Histogram

REDIS_SECONDS = Histogram(
    "tessera_redis_call_seconds",
    "Calls to Redis: how long they took, by operation and outcome; an xread waits for news.",
    ["operation", "outcome"],
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0),
)
POSTGRES_SECONDS = Histogram(
    "tessera_postgres_call_seconds",
    "Calls to PostgreSQL: how long they took, by operation and outcome.",
    ["operation", "outcome"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0),
)
SUBSCRIPTIONS_LOST = Counter(
    "tessera_redis_subscriptions_lost",
    "Subscriptions to Redis that were lost: what was published until they were back is missing.",
)
INBOUND_LOST = Counter(
    "tessera_inbound_lost",
    "Messages from Redis passed over: unreadable, or no room, which restarts the subscription.",
    ["reason"],
)
SPANS = Counter(
    "tessera_spans",
    "Spans of traces: exported, dropped because too many waited, or failed to be exported.",
    ["outcome"],
)

# Shown from the start: an alert that waits for the first of these can't tell a counter that appears
# with it from one that was never asked for.
for _reason in ("unreadable", "no_room"):
    INBOUND_LOST.labels(_reason)
for _outcome in ("exported", "dropped", "failed"):
    SPANS.labels(_outcome)
