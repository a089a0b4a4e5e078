"""How a shard waits for what is outside: never for ever, and again when it must be done.

The one place where a shard's deadlines and repetitions are. Which of the two ways is right is
the caller's to know: ``insist`` is for what is safe to repeat, and ends only when it is cancelled.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
import trio

from common.errors import InDoubt, Misconfigured, Trouble
from common.limits import BACKOFF_SECONDS_MAX, BACKOFF_SECONDS_MIN

T = TypeVar("T")

_log = structlog.get_logger()


async def bounded(seconds: float, call: Callable[[], Awaitable[T]]) -> T:
    """Return what ``call`` returns; InDoubt when that takes longer than ``seconds``."""
    with trio.move_on_after(seconds):
        return await call()
    raise InDoubt(f"no answer within {seconds:g} s")


async def insist(doing: str, seconds: float, call: Callable[[], Awaitable[T]]) -> T:
    """Repeat ``call``, each time ``bounded`` by ``seconds``, until it works or we are cancelled."""
    pause = 0.0
    while True:
        try:
            return await bounded(seconds, call)
        except Misconfigured:
            raise
        except Trouble as trouble:
            pause = next_pause(pause)
            _log.warning("trouble, trying again", doing=doing, trouble=str(trouble), pause_s=pause)
        await trio.sleep(pause)


def next_pause(pause: float) -> float:
    """Return how long to wait after having waited ``pause``. No jitter: few processes ask."""
    return min(max(BACKOFF_SECONDS_MIN, 2 * pause), BACKOFF_SECONDS_MAX)
