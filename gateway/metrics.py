"""What the gateway counts, for Prometheus.

Definitions only: who counts imports the metric, and the private port shows them all. Labels come
from small fixed sets of words, never from what a client sent.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()
"""Of a gateway alone: a process may have imported what others are made of, too."""


class Tally:
    """Counts for ``counter`` what happens hundreds of times a second, without its lock.

    Whoever counts calls ``settle`` now and then: what was counted since shows only then.
    """

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self.count = 0

    def settle(self) -> None:
        count, self.count = self.count, 0
        self._counter.inc(count)


TOKENS_REFUSED = Counter(
    "tessera_tokens_refused",
    "Bearer tokens not accepted: missing, mistyped, unknown, revoked, expired, or banned.",
    ["kind", "reason"],
    registry=REGISTRY,
)

HTTP_ANSWERS = Counter(
    "tessera_http_answers",
    "Answers to HTTP calls, by route and status.",
    ["route", "status"],
    registry=REGISTRY,
)
HTTP_SECONDS = Histogram(
    "tessera_http_seconds",
    "How long an HTTP call took, its body included.",
    ["route"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 10.0),
    registry=REGISTRY,
)

SPECTATORS = Gauge(
    "tessera_spectators", "Spectators' streams that are open now.", registry=REGISTRY
)
SPECTATOR_EVENTS = Counter(
    "tessera_spectator_events", "Events written to spectators.", registry=REGISTRY
)
SPECTATOR_RESYNCS = Counter(
    "tessera_spectator_resyncs",
    "Resyncs that spectators were told of, by reason.",
    ["reason"],
    registry=REGISTRY,
)
SPECTATOR_REPLAYS = Counter(
    "tessera_spectator_replays",
    "Chunks of spectators who came back: told what they had missed, or that it is not kept.",
    ["outcome"],
    registry=REGISTRY,
)
SPECTATORS_SENT_AWAY = Counter(
    "tessera_spectators_sent_away",
    "Streams that ended because the reader was too slow.",
    registry=REGISTRY,
)
FEEDS = Gauge(
    "tessera_feeds", "Chunks that somebody watches through this gateway.", registry=REGISTRY
)
FEED_FILLS = Counter(
    "tessera_feed_fills",
    "Gaps in a chunk's deltas: mended from the stream, or not.",
    ["outcome"],
    registry=REGISTRY,
)

SLOTS = Gauge(
    "tessera_slots",
    "Slots of the topology in force, and those of them that a shard holds.",
    ["state"],
    registry=REGISTRY,
)

AGENTS = Gauge(
    "tessera_agents", "Agents' WebSockets that are open or opening now.", registry=REGISTRY
)
AGENT_REFUSALS = Counter(
    "tessera_agent_refusals",
    "Agents' WebSockets refused before the upgrade.",
    ["code"],
    registry=REGISTRY,
)
AGENT_FRAMES = Counter("tessera_agent_frames", "Frames from agents.", registry=REGISTRY)
FRAMES_TALLY = Tally(AGENT_FRAMES)
AGENT_CHALLENGES = Counter(
    "tessera_agent_challenges",
    "Challenges: issued on request; answers: proven, invalid, expired, unknown.",
    ["outcome"],
    registry=REGISTRY,
)
AGENT_COOLDOWNS = Counter(
    "tessera_agent_cooldowns", "Cooldowns begun, for too many bad answers.", registry=REGISTRY
)
PROVEN_TALLY = Tally(AGENT_CHALLENGES.labels("proven"))
AGENT_ACKS = Counter(
    "tessera_agent_acks", "Acks sent, by code, or accepted.", ["code"], registry=REGISTRY
)
ACCEPTED_TALLY = Tally(AGENT_ACKS.labels("accepted"))
AGENT_RESULTS = Counter(
    "tessera_agent_results",
    "Results sent: completed, or the reason of the failure.",
    ["outcome"],
    registry=REGISTRY,
)
COMPLETED_TALLY = Tally(AGENT_RESULTS.labels("completed"))
AGENT_TALLIES = (FRAMES_TALLY, PROVEN_TALLY, ACCEPTED_TALLY, COMPLETED_TALLY)
AGENT_REOFFERS = Counter(
    "tessera_agent_reoffers", "Commands offered again: no ack in time.", registry=REGISTRY
)
AGENT_RESUMES = Counter(
    "tessera_agent_resumes", "Agents' WebSockets that took a session over.", registry=REGISTRY
)
AGENT_CLOSES = Counter(
    "tessera_agent_closes",
    "Agents' WebSockets that ended, by close code, or lost.",
    ["code"],
    registry=REGISTRY,
)
OFFERS_TOGETHER = Histogram(
    "tessera_offers_together",
    "Offers carried to Redis in one call.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
    registry=REGISTRY,
)

QUEUE = Gauge(
    "tessera_gateway_queue",
    "What waits in a queue of this process: offers for Redis, messages from Redis, agents' frames.",
    ["queue"],
    registry=REGISTRY,
)
DROPPED = Counter(
    "tessera_gateway_dropped",
    "What found a queue full: an offer (refused), an agent's frames or lines (closed with 4008).",
    ["queue"],
    registry=REGISTRY,
)
LATENESS_SECONDS = Histogram(
    "tessera_gateway_lateness_seconds",
    "How much later than due this process looked round, as it does once a second.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
    registry=REGISTRY,
)

# Shown from the start: an alert that waits for the first of these can't tell a counter that appears
# with it from one that was never asked for. The app, which knows the routes, does it for answers.
for _queue in ("offers", "agent_frames", "agent_lines"):
    DROPPED.labels(_queue)
AGENT_ACKS.labels("unavailable")
AGENT_REFUSALS.labels("unavailable")
