"""The time spans that Redis counts for us, in ms, together so that tests may shorten them.

The real and the in-memory adapters take the same object. Nobody else sets one: the reasons
stand in ``common.limits``.
"""

from __future__ import annotations

import attrs

from common.limits import (
    ABLE_MS_MAX,
    BEAT_MS_MAX,
    COOLDOWN_MS,
    CREATION_MS,
    DELTAS_KEPT_MS,
    LEASE_MS,
    PRESENCE_MS,
    RESUME_MS,
    SESSION_HOURS_MAX,
    STRIKE_WINDOW_MS,
)


@attrs.frozen
class Durations:
    resume_ms: int = RESUME_MS
    presence_ms: int = PRESENCE_MS
    strike_window_ms: int = STRIKE_WINDOW_MS
    cooldown_ms: int = COOLDOWN_MS
    lease_ms: int = LEASE_MS
    creation_ms: int = CREATION_MS
    deltas_kept_ms: int = DELTAS_KEPT_MS
    beat_ms_max: int = BEAT_MS_MAX
    able_ms_max: int = ABLE_MS_MAX
    remembered_ms: int = SESSION_HOURS_MAX * 3_600_000
    """Fences, bindings and lines: longer than any session, so that nobody misses them."""
