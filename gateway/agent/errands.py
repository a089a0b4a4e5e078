"""Carry out what the exchange decides, and tell it what came of it.

It decides nothing but what trouble means: what is certainly not done is ``unavailable``, what is
in doubt counts as done. What happens with every command is done without a task of its own; what
seldom happens is a task of the conversation's. Calls have their deadlines in ``outside`` and in
``gateway.courier``. The order is ``lane``'s to keep.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

import attrs
import structlog

from common import wire
from common.bus import Offer, Take, Verdict
from common.envelopes import CancelOffered, ToShard
from common.errors import Trouble, Unavailable
from common.frames import Ack, Challenge, Result, ServerFrame
from common.grid import CommandId
from common.journal import Known
from common.limits import RETRY_AFTER_MS
from common.refusals import AckCode
from gateway.agent.actions import (
    Action,
    End,
    FindLines,
    Forgive,
    OfferCancel,
    OfferCommand,
    Recall,
    Send,
    Settle,
    Strike,
    TakeTokens,
)
from gateway.agent.exchange import Exchange
from gateway.agent.lane import Then
from gateway.agent.lines import find_lines
from gateway.agent.outbox import Outbox
from gateway.agent.outside import Outside, ask_postgres, ask_redis
from gateway.agent.way import Way
from gateway.metrics import (
    ACCEPTED_TALLY,
    AGENT_ACKS,
    AGENT_CHALLENGES,
    AGENT_COOLDOWNS,
    AGENT_REOFFERS,
    AGENT_RESULTS,
    COMPLETED_TALLY,
    PROVEN_TALLY,
)

_log = structlog.get_logger(__name__)

_NOT_DONE = Verdict(full=True)
_ANSWERS: Mapping[AckCode, str] = {
    "invalid_signature": "invalid",
    "challenge_expired": "expired",
    "challenge_unknown": "unknown",
}
_DONE = Verdict()


@attrs.frozen(eq=False)
class Errands:
    exchange: Exchange
    outbox: Outbox
    outside: Outside
    connection: int
    """Its number. Once the session has a later one, nothing is offered from here any more."""
    start: Callable[[Callable[[], Awaitable[None]]], None]
    """Start a task that ends with the conversation."""
    way: Way | None = None

    def send(self, frame: ServerFrame) -> None:
        if isinstance(frame, Ack):
            if frame.code is None:
                ACCEPTED_TALLY.count += 1
            else:
                AGENT_ACKS.labels(frame.code).inc()
                if (outcome := _ANSWERS.get(frame.code)) is not None:
                    AGENT_CHALLENGES.labels(outcome).inc()
        elif isinstance(frame, Result):
            if frame.reason is None:
                COMPLETED_TALLY.count += 1
            else:
                AGENT_RESULTS.labels(frame.reason).inc()
        elif isinstance(frame, Challenge):
            AGENT_CHALLENGES.labels("issued").inc()
        if self.way is not None:
            self.way.told(frame)
        self.outbox.put(wire.encode(frame))

    def carry_out(self, action: Action, then: Then) -> Iterable[Action] | None:
        """Return what follows from it. None: it is under way, and ``then`` hears of it, once."""
        match action:
            case Send(frame=frame):
                self.send(frame)
            case End(code=code, reason=reason):
                self.outbox.end(code, reason)
            case TakeTokens(asked=asked, takes=takes):
                granted = self.exchange.granted
                return self._offer(
                    Offer(takes=takes),
                    lambda verdict: granted(asked, verdict, self._now_ms()),
                    then,
                )
            case OfferCommand():
                return self._offer_command(action, then)
            case OfferCancel(message=message):
                return self._offer(
                    self._to_shard(message), lambda verdict: self._cancelled(message, verdict), then
                )
            case _:
                self.start(lambda: self._take_time(action, then))
                return None
        return ()

    async def _take_time(self, action: Action, then: Then) -> None:
        follows = await self._carry_out_slowly(action)
        then(lambda: follows)

    async def _carry_out_slowly(self, action: Action) -> Iterable[Action]:
        match action:
            case Recall():
                return await self._recall(action)
            case Settle(id=id):
                return await self._settle(id)
            case Strike():
                await self._strike(action)
            case Forgive():
                await self._forgive()
            case FindLines(upto=upto):
                return await self._find_lines(upto)
            case _:
                raise AssertionError(f"{action} takes no time")
        return ()

    def _now_ms(self) -> int:
        return self.outside.clock.now_ms()

    def _to_shard(
        self, message: ToShard, takes: tuple[Take, ...] = (), connection: int | None = None
    ) -> Offer:
        """Go where the agent is now, which may be another chunk than when the offer was made."""
        chunk = self.exchange.chunk
        if message.chunk != chunk:
            message = attrs.evolve(message, chunk=chunk)
        return Offer(takes, self.outside.routes.slot(chunk), message, connection)

    def _offer(
        self, offer: Offer, decide: Callable[[Verdict], Iterable[Action]], then: Then
    ) -> Iterable[Action] | None:
        def hear(answer: Verdict | Trouble) -> None:
            then(lambda: decide(_verdict(answer)))

        try:
            self.outside.courier.post(offer, hear)
        except Unavailable:
            return decide(_NOT_DONE)
        return None

    def _offer_command(self, action: OfferCommand, then: Then) -> Iterable[Action] | None:
        id = action.message.id
        if not self.exchange.docket.is_pending(id):
            return ()  # Decided on while other errands were run.
        if action.again:
            AGENT_REOFFERS.inc()
        else:
            PROVEN_TALLY.count += 1
            if self.way is not None:
                self.way.offered(action.message)
        offer = self._to_shard(action.message, action.takes, self.connection)

        def decide(verdict: Verdict) -> Iterable[Action]:
            # An offer made before may be on its way still: only the first one's failure is a fact.
            return () if action.again else self.exchange.offered(id, verdict, self._now_ms())

        return self._offer(offer, decide, then)

    def _cancelled(self, message: CancelOffered, verdict: Verdict) -> Iterable[Action]:
        if not verdict.full or message.reason != "cancelled":
            return ()  # Who did not ask for it does not hear that it failed.
        return self.exchange.cancel_failed(message.id)

    async def _recall(self, action: Recall) -> list[Action]:
        id = action.frame.id
        try:
            known = await self._known(id)
        except Trouble:
            return self.exchange.reject(id, "unavailable", self._now_ms(), RETRY_AFTER_MS)
        return self.exchange.recalled(action.frame, known, self._now_ms())

    async def _settle(self, id: CommandId) -> list[Action]:
        try:
            known = await self._known(id)
        except Trouble:
            return self.exchange.unsettled(id, self._now_ms())
        return self.exchange.settled(id, known, self._now_ms())

    async def _known(self, id: CommandId) -> Known | None:
        session = self.exchange.sitting.session
        return await ask_postgres(self.outside.accounts.known(session, id))

    async def _strike(self, action: Strike) -> None:
        agent = self.exchange.sitting.agent
        try:
            if await ask_redis(self.outside.bus.strike(agent, action.kind)):
                self.exchange.cooled_down(self._now_ms())
                AGENT_COOLDOWNS.inc()
                _log.info("agent on cooldown", agent=agent, why=action.kind)
        except Trouble as trouble:
            _log.warning("a bad answer was not counted", agent=agent, error=str(trouble))

    async def _forgive(self) -> None:
        agent = self.exchange.sitting.agent
        try:
            await ask_redis(self.outside.bus.forgive(agent))
        except Trouble as trouble:
            _log.warning("bad answers were not forgiven", agent=agent, error=str(trouble))

    async def _find_lines(self, upto: int) -> list[Action]:
        docket, session = self.exchange.docket, self.exchange.sitting.session
        upto = max(upto, docket.exists)
        try:
            lines = await find_lines(self.outside, session, docket.delivered, upto)
        except Trouble:
            return []  # It is tried again soon; see Conversation.
        now_ms = self._now_ms()
        told = [action for line in lines for action in self.exchange.hear_line(line, now_ms)]
        return [action for action in told if not isinstance(action, FindLines)]


def _verdict(answer: Verdict | Trouble) -> Verdict:
    if isinstance(answer, Unavailable):
        return _NOT_DONE
    return _DONE if isinstance(answer, Trouble) else answer
