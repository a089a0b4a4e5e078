"""Which call or message goes wrong, and how: drawn from the seed, for as long as it is bad.

It carries nothing out. A call in fifty goes wrong; in rough weather, which is that of some seeds,
one in seven, and what is late is so by longer. A storm's bigger faults are in ``storm``. Seconds
throughout.
"""

from __future__ import annotations

import enum
import random

import attrs

from ops.simulate.plan import Fault

CALLS_RATE = 0.02
ROUGH_RATE = 0.25  # Of the seeds. Where so much fails at once, what takes a while to show does not.
ROUGH_CALLS_RATE = 0.14
PUBSUB_RATE = 0.02
SLOW_SECONDS_MAX = 0.3
LATE_SECONDS_MAX = 4.0  # Longer than a lease: whoever asked may be nobody any more.


class CallFault(enum.Enum):
    SLOW = "slow"
    REFUSED = "refused"
    """Not done, and the caller knows."""
    LOST = "lost"
    """Not done, and nobody ever answers."""
    UNANSWERED = "unanswered"
    """Done, but nobody ever answers."""
    LATE = "late"
    """Done later, whether or not the caller still waits."""
    TWICE = "twice"
    """Done, and done again later."""


class NewsFault(enum.Enum):
    DROPPED = "dropped"
    LATE = "late"
    TWICE = "twice"


_CALL_FAULTS: tuple[CallFault, ...] = (*CallFault, CallFault.SLOW, CallFault.SLOW, CallFault.SLOW)
_NEWS_FAULTS = tuple(NewsFault)


@attrs.define(eq=False)
class Weather:
    _dice: random.Random
    _faults: frozenset[Fault]
    is_bad: bool = True
    _is_rough: bool = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._is_rough = self._dice.random() < ROUGH_RATE

    def of_call(self) -> CallFault | None:
        if not self._strikes(Fault.CALLS, ROUGH_CALLS_RATE if self._is_rough else CALLS_RATE):
            return None
        return self._dice.choice(_CALL_FAULTS)

    def of_news(self) -> NewsFault | None:
        if not self._strikes(Fault.PUBSUB, PUBSUB_RATE):
            return None
        return self._dice.choice(_NEWS_FAULTS)

    def slow_seconds(self) -> float:
        return self._dice.uniform(0.0, SLOW_SECONDS_MAX)

    def late_seconds(self) -> float:
        return LATE_SECONDS_MAX * self._dice.random() ** (1 if self._is_rough else 3)

    def _strikes(self, fault: Fault, rate: float) -> bool:
        return self.is_bad and fault in self._faults and self._dice.random() < rate
