"""What the gateway counts, for Prometheus.

Definitions only: who counts imports the metric, and the private port shows them all. Labels come
from small fixed sets of words, never from what a client sent.
"""

from __future__ import annotations

from prometheus_client import Counter

TOKENS_REFUSED = Counter(
    "tessera_tokens_refused",
    "Bearer tokens answered with 401: missing, mistyped, unknown, revoked or expired.",
    ["kind", "reason"],
)
