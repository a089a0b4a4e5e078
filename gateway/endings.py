"""End many connections one after another, so that their clients don't all come back at once.

A few at a time, ENDINGS_STEP_SECONDS apart; more at a time when there are many, for the gateway
that stops has no longer than it has. In an order that is drawn: who came together, or in one
connection, does not go together. Who is told, and what, is the caller's.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import TypeVar

import trio

from common.limits import ENDINGS_AT_ONCE, ENDINGS_STEP_SECONDS

T = TypeVar("T")


async def end_each(things: Iterable[T], end: Callable[[T], None], seconds_max: float) -> None:
    """Call ``end`` for each of ``things``, within about ``seconds_max``."""
    drawn = list(things)
    random.shuffle(drawn)
    steps_max = int(seconds_max / ENDINGS_STEP_SECONDS)
    at_once = max(ENDINGS_AT_ONCE, -(-len(drawn) // steps_max))
    for start in range(0, len(drawn), at_once):
        for thing in drawn[start : start + at_once]:
            end(thing)
        await trio.sleep(ENDINGS_STEP_SECONDS)
