"""How often a call may be made: one token out of one bucket, shared by all gateways.

The bucket holds as many tokens as the setting allows for its interval, and refills evenly.
"""

from __future__ import annotations

from common.bus import Offer, Take
from gateway.http.outside import Outside
from gateway.http.problems import Problem


async def refuse_if_over(
    outside: Outside, kind: str, subject: str, count: int, seconds: float
) -> Problem | None:
    """Take a token; a Problem when there is none. A ``count`` of 0 switches the limit off."""
    if count == 0:
        return None
    take = Take(kind, subject, per_second=count / seconds, burst=count)
    verdict = await outside.courier.offer(Offer(takes=(take,)))
    if verdict.retry_after_ms == 0:
        return None
    return Problem(
        "rate_limited", f"At most {count} in {seconds:g} s. Wait.", verdict.retry_after_ms
    )
