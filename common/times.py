"""How a moment is written on the wire: RFC 3339, UTC, milliseconds. It reads no clock.

Apart from ``common.wire`` because the rules of the world, which use that, know no time of day.
"""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp(moment: datetime) -> str:
    """Return the aware ``moment`` as the protocol writes it: ``2026-01-01T00:00:02.000Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
