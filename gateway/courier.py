"""Carry the offers of many callers to Redis together: one call for all of a couple of milliseconds.

It decides nothing and repeats nothing. An offer waits OFFER_BATCH_SECONDS for company, then for
the call before it, then for its own; how long is enough is the caller's to say. Offers of one
caller who waits for each stay in order.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import attrs
import trio

from common.bus import Offer, Verdict
from common.errors import InDoubt, Trouble, Unavailable
from common.limits import (
    OFFER_BATCH_MAX,
    OFFER_BATCH_SECONDS,
    OFFER_QUEUE_MAX,
    REDIS_SECONDS_MAX,
)
from gateway.metrics import OFFERS_TOGETHER
from gateway.ports import Bus


@attrs.define(eq=False)
class _Letter:
    offer: Offer
    answered: trio.Event = attrs.field(factory=trio.Event)
    answer: Verdict | Trouble | None = None

    def settle(self, answer: Verdict | Trouble) -> None:
        """Answer, unless that was done before."""
        if self.answer is None:
            self.answer = answer
            self.answered.set()


class Courier:
    """``run`` must be running for anything to be carried."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        # Full: whoever comes is turned away at once. Offers that wait longer are of no use.
        self._letters, self._waiting = trio.open_memory_channel[_Letter](OFFER_QUEUE_MAX)

    async def offer(self, offer: Offer) -> Verdict:
        """Carry out ``offer``; cancelling the wait does not take it back. Unavailable, InDoubt."""
        letter = _Letter(offer)
        try:
            self._letters.send_nowait(letter)
        except trio.WouldBlock:
            raise Unavailable("too many offers are waiting for Redis; try again") from None
        except trio.BrokenResourceError:
            raise Unavailable("this gateway is stopping; go to another") from None
        await letter.answered.wait()
        if isinstance(letter.answer, Trouble):
            # A fresh one for each caller: a traceback belongs to one task.
            raise type(letter.answer)(str(letter.answer))
        assert letter.answer is not None
        return letter.answer

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry letters until cancelled; who still waits then is told that nothing was done."""
        task_status.started()
        letters: list[_Letter] = []
        try:
            while True:  # Ends by cancellation only.
                letters = [await self._waiting.receive()]
                await trio.sleep(OFFER_BATCH_SECONDS)
                letters += self._gather(OFFER_BATCH_MAX - 1)
                await self._carry(letters)
        finally:
            for letter in (*letters, *self._gather(OFFER_QUEUE_MAX)):
                letter.settle(Unavailable("this gateway is stopping; go to another"))
            self._waiting.close()

    def _gather(self, count: int) -> list[_Letter]:
        """Take at most ``count`` of the letters that wait."""
        letters: list[_Letter] = []
        with contextlib.suppress(trio.WouldBlock):
            while len(letters) < count:
                letters.append(self._waiting.receive_nowait())
        return letters

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
