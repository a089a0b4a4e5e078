"""Read the lines of a session again: from Redis, and what Redis no longer has from PostgreSQL.

It puts nothing in order and delivers nothing. What PostgreSQL is told last (results are recorded
lazily) may take a moment to appear, and whoever needs it waits here.
"""

from __future__ import annotations

from collections.abc import Iterable

import trio

from common.envelopes import SessionLine
from common.grid import SessionId
from common.limits import LINES_WAIT_SECONDS
from gateway.agent.outside import Outside, ask_postgres, ask_redis


async def find_lines(
    outside: Outside, session: SessionId, after: int, upto: int
) -> list[SessionLine]:
    """Return the known lines after ``after``, in order. May raise Trouble.

    Those up to ``upto`` exist, but some may not be known yet: there may be gaps.
    """
    kept = await ask_redis(outside.bus.lines_after(session, after))
    last = kept[-1].seq or 0 if kept else after
    if unbroken(kept, after) >= max(upto, last):
        return list(kept)
    told = await ask_postgres(outside.accounts.history(session, after))
    lines = {line.seq or 0: line for line in (*told, *kept)}
    return [lines[seq] for seq in sorted(lines)]


async def wait_lines(
    outside: Outside, session: SessionId, after: int, upto: int
) -> list[SessionLine]:
    """Return the lines after ``after``, without a gap to ``upto``, once they are all known."""
    while True:  # Ends by the caller's deadline, if PostgreSQL is never told.
        lines = await find_lines(outside, session, after, upto)
        if unbroken(lines, after) >= upto:
            return lines
        await trio.sleep(LINES_WAIT_SECONDS)


def unbroken(lines: Iterable[SessionLine], after: int) -> int:
    """Return the last seq that can be reached from ``after`` without a gap."""
    for line in lines:
        if line.seq != after + 1:
            break
        after += 1
    return after
