"""The same house as the other HTTP calls have, seen by operators."""

from __future__ import annotations

from tests.gateway.http.conftest import house, live_url

__all__ = ["house", "live_url"]
