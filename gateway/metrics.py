"""What the gateway counts, for Prometheus.

Definitions only: who counts imports the metric, and the private port shows them all. Labels come
from small fixed sets of words, never from what a client sent.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram


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

AGENTS = Gauge("tessera_agents", "Agents' WebSockets that are open or opening now.")
AGENT_REFUSALS = Counter(
    "tessera_agent_refusals", "Agents' WebSockets refused before the upgrade.", ["code"]
)
AGENT_FRAMES = Counter("tessera_agent_frames", "Frames from agents.")
FRAMES_TALLY = Tally(AGENT_FRAMES)
AGENT_CHALLENGES = Counter(
    "tessera_agent_challenges", "Challenges issued on request, and commands proven.", ["outcome"]
)
PROVEN_TALLY = Tally(AGENT_CHALLENGES.labels("proven"))
AGENT_ACKS = Counter("tessera_agent_acks", "Acks sent, by code, or accepted.", ["code"])
ACCEPTED_TALLY = Tally(AGENT_ACKS.labels("accepted"))
AGENT_TALLIES = (FRAMES_TALLY, PROVEN_TALLY, ACCEPTED_TALLY)
AGENT_REOFFERS = Counter("tessera_agent_reoffers", "Commands offered again: no ack in time.")
AGENT_CLOSES = Counter(
    "tessera_agent_closes", "Agents' WebSockets that ended, by close code, or lost.", ["code"]
)
OFFERS_TOGETHER = Histogram(
    "tessera_offers_together",
    "Offers carried to Redis in one call.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
