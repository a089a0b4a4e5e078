"""What the gateway counts, for Prometheus.

Definitions only: who counts imports the metric, and the private port shows them all. Labels come
from small fixed sets of words, never from what a client sent.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

TOKENS_REFUSED = Counter(
    "tessera_tokens_refused",
    "Bearer tokens answered with 401: missing, mistyped, unknown, revoked or expired.",
    ["kind", "reason"],
)

HTTP_ANSWERS = Counter(
    "tessera_http_answers", "Answers to HTTP calls, by route and status.", ["route", "status"]
)
HTTP_SECONDS = Histogram(
    "tessera_http_seconds",
    "How long an HTTP call took, its body included.",
    ["route"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 10.0),
)

SPECTATORS = Gauge("tessera_spectators", "Spectators' streams that are open now.")
SPECTATOR_EVENTS = Counter("tessera_spectator_events", "Events written to spectators.")
SPECTATOR_RESYNCS = Counter(
    "tessera_spectator_resyncs", "Resyncs that spectators were told of, by reason.", ["reason"]
)
SPECTATORS_SENT_AWAY = Counter(
    "tessera_spectators_sent_away", "Streams that ended because the reader was too slow."
)
FEEDS = Gauge("tessera_feeds", "Chunks that somebody watches through this gateway.")
FEED_FILLS = Counter(
    "tessera_feed_fills", "Gaps in a chunk's deltas: mended from the stream, or not.", ["outcome"]
)
