"""How a moment is written on the wire: RFC 3339, UTC, milliseconds. It reads no clock.

Apart from ``common.wire`` because the rules of the world, which use that, know no time of day.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


def timestamp(moment: datetime) -> str:
    """Return the aware ``moment`` as the protocol writes it: ``2026-01-01T00:00:02.000Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def timestamp_of(unix_ms: int) -> str:
    """Return the same of a Unix time in milliseconds."""
    seconds, milliseconds = divmod(unix_ms, 1000)
    return f"{_to_seconds(seconds)}.{milliseconds:03d}Z"


@lru_cache(maxsize=64)  # Who asks does so for hundreds of moments of the same second.
def _to_seconds(unix_seconds: int) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat().removesuffix("+00:00")
