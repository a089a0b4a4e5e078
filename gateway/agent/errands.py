"""Carry out what the exchange decides, and tell it what came of it.

It decides nothing but what trouble means: what is certainly not done is ``unavailable``, what is
in doubt counts as done. Every call outside has its deadline in ``outside``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import attrs
import structlog

from common import wire
from common.bus import Offer, Verdict
from common.envelopes import ToShard
from common.errors import InDoubt, Trouble, Unavailable
from common.frames import Ack, Challenge, ServerFrame
from common.grid import CommandId
from common.journal import Known
from common.limits import RETRY_AFTER_MS
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
from gateway.agent.lines import find_lines
from gateway.agent.outbox import Outbox
from gateway.agent.outside import Outside, ask_postgres, ask_redis
from gateway.metrics import AGENT_ACKS, AGENT_CHALLENGES, AGENT_REOFFERS

_log = structlog.get_logger(__name__)

_NOT_DONE = Verdict(full=True)
_DONE = Verdict()


@attrs.frozen(eq=False)
class Errands:
    exchange: Exchange
    outbox: Outbox
    outside: Outside
    connection: int
    """Its number. Once the session has a later one, nothing is offered from here any more."""

    async def run(self, actions: Iterable[Action]) -> None:
        """Carry out ``actions`` in order; what follows from one comes before the next."""
        todo = deque(actions)
        while todo:
            todo.extendleft(reversed(await self._carry_out(todo.popleft())))

    def send(self, frame: ServerFrame) -> None:
        if isinstance(frame, Ack):
            AGENT_ACKS.labels(frame.code or "accepted").inc()
        elif isinstance(frame, Challenge):
            AGENT_CHALLENGES.labels("issued").inc()
        self.outbox.put(wire.encode(frame).decode())

    async def _carry_out(self, action: Action) -> list[Action]:
        match action:
            case Send(frame=frame):
                self.send(frame)
            case End(code=code, reason=reason):
                self.outbox.end(code, reason)
            case TakeTokens(asked=asked, takes=takes):
                verdict = await self._offer(Offer(takes=takes))
                return self.exchange.granted(asked, verdict, self._now_ms())
            case OfferCommand():
                return await self._offer_command(action)
            case OfferCancel(message=message):
                verdict = await self._offer(self._to_shard(message))
                if not verdict.full or message.reason != "cancelled":
                    return []  # Who did not ask for it does not hear that it failed.
                return self.exchange.cancel_failed(message.id)
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
        return []

    def _now_ms(self) -> int:
        return self.outside.clock.now_ms()

    def _to_shard(self, message: ToShard) -> Offer:
        """Go where the agent is now, which may be another chunk than when the offer was made."""
        chunk = self.exchange.chunk
        moved = attrs.evolve(message, chunk=chunk)
        return Offer(slot=self.outside.routes.slot(chunk), message=moved)

    async def _offer(self, offer: Offer) -> Verdict:
        try:
            return await ask_redis(self.outside.courier.offer(offer))
        except Unavailable:
            return _NOT_DONE
        except InDoubt:
            return _DONE

    async def _offer_command(self, action: OfferCommand) -> list[Action]:
        id = action.message.id
        if not self.exchange.docket.is_pending(id):
            return []  # Decided on while other errands were run.
        (AGENT_REOFFERS if action.again else AGENT_CHALLENGES.labels("proven")).inc()
        offer = self._to_shard(action.message)
        verdict = await self._offer(
            attrs.evolve(offer, takes=action.takes, connection=self.connection)
        )
        # An offer made before may be on its way still: only the first one's failure is a fact.
        return [] if action.again else self.exchange.offered(id, verdict, self._now_ms())

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
