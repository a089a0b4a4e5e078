"""Carry the offers of many callers to Redis together: one call for all that wait.

It decides nothing and repeats nothing. An offer waits for the call before it, then for its own,
which have REDIS_SECONDS_MAX each; who awaits it may give up earlier. What agents say is gathered
before (GATHER_SECONDS), and so comes together. Offers are carried in the order in which they were
posted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import attrs
import trio

from common.bus import Offer, Verdict
from common.errors import InDoubt, Trouble, Unavailable
from common.limits import (
    OFFER_BATCH_MAX,
    OFFER_QUEUE_MAX,
    REDIS_SECONDS_MAX,
)
from gateway.metrics import DROPPED, OFFERS_TOGETHER
from gateway.ports import Bus

Told = Callable[[Verdict | Trouble], None]
"""Must neither wait nor raise: it is called in the middle of the courier's round."""


@attrs.define(eq=False)
class _Letter:
    offer: Offer
    _told: Told
    _is_settled: bool = False

    def settle(self, answer: Verdict | Trouble) -> None:
        """Answer, unless that was done before."""
        if not self._is_settled:
            self._is_settled = True
            self._told(answer)


@attrs.define(eq=False)
class _Answer:
    """Of one who waits for it."""

    came: trio.Event = attrs.field(factory=trio.Event)
    said: Verdict | Trouble | None = None

    def hear(self, said: Verdict | Trouble) -> None:
        self.said = said
        self.came.set()


class Courier:
    """``run`` must be running for anything to be carried."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        # Full: whoever comes is turned away at once. Offers that wait longer are of no use.
        self._letters: deque[_Letter] = deque()
        self._posted = trio.Event()
        self._is_stopping = False

    def __len__(self) -> int:
        """How many offers wait."""
        return len(self._letters)

    async def offer(self, offer: Offer) -> Verdict:
        """Carry out ``offer``; cancelling the wait does not take it back. Unavailable, InDoubt."""
        answer = _Answer()
        self.post(offer, answer.hear)
        await answer.came.wait()
        assert answer.said is not None
        if isinstance(answer.said, Trouble):
            # A fresh one for each caller: a traceback belongs to one task.
            raise type(answer.said)(str(answer.said))
        return answer.said

    def post(self, offer: Offer, told: Told) -> None:
        """Carry out ``offer``, and tell what came of it, later. Unavailable: nobody is told."""
        if self._is_stopping:
            raise Unavailable("this gateway is stopping; go to another")
        if len(self._letters) >= OFFER_QUEUE_MAX:
            DROPPED.labels("offers").inc()
            raise Unavailable("too many offers are waiting for Redis; try again")
        self._letters.append(_Letter(offer, told))
        self._posted.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry letters until cancelled; who still waits then is told that nothing was done."""
        task_status.started()
        letters: list[_Letter] = []
        try:
            while True:  # Ends by cancellation only.
                if not self._letters:
                    self._posted = trio.Event()
                await self._posted.wait()  # It gives way: what is posted meanwhile goes along.
                letters = self._gather(OFFER_BATCH_MAX)
                await self._carry(letters)
        finally:
            self._is_stopping = True
            for letter in (*letters, *self._gather(OFFER_QUEUE_MAX)):
                letter.settle(Unavailable("this gateway is stopping; go to another"))

    def _gather(self, count: int) -> list[_Letter]:
        """Take at most ``count`` of the letters that wait."""
        return [self._letters.popleft() for _ in range(min(count, len(self._letters)))]

    async def _carry(self, letters: Sequence[_Letter]) -> None:
        OFFERS_TOGETHER.observe(len(letters))
        answers: Sequence[Verdict | Trouble]
        trouble: Trouble = InDoubt("this gateway stopped while it was asking Redis")
        try:
            with trio.fail_after(REDIS_SECONDS_MAX):
                answers = await self._bus.offer([letter.offer for letter in letters])
        except trio.TooSlowError:
            trouble = InDoubt(f"Redis took longer than {REDIS_SECONDS_MAX} s for some offers")
        except Trouble as met:
            trouble = met
        else:
            assert len(answers) == len(letters), "one verdict an offer"
            for letter, answer in zip(letters, answers, strict=True):
                letter.settle(answer)
        finally:
            for letter in letters:
                letter.settle(trouble)
