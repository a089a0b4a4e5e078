"""One line of log a request, when its answer is over, without query strings: those may hold tokens.

It decides nothing; whoever ends an answer calls it.
"""

from __future__ import annotations

import structlog
import trio

_log = structlog.get_logger(__name__)


def note(
    method: str, path: str, *, status: int | None, began: float, address: str, trace_id: str | None
) -> None:
    """``status`` None: the client went before there was an answer; ``began`` in trio's time."""
    _log.info(
        "request",
        method=method,
        path=path,
        status=status,
        seconds=round(trio.current_time() - began, 4),
        address=address,
        trace_id=trace_id,
    )
