"""What follows from a tick: who is told, what is remembered, what is looked at again.

Called in the same breath as the tick itself, so it waits for nothing. What can be derived from
the tick alone is in ``shard.emission``; here is what only this process knows: who asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from common.bus import Forward
from common.envelopes import Attach, Attached, AttachRefused, ToGateway
from common.grid import AgentId, GatewayId, SessionId
from common.journal import PlacedFact
from shard import metrics
from shard.border import Border
from shard.emission import Emission, departure, emission_of
from shard.inbox import Inbox
from shard.live import Live
from shard.outbox import Outbox
from shard.routes import Routes
from shard.spiral import onward
from shard.trails import Trails
from shard.way import Way
from shard.world.effects import Departing, Placed, Unplaced
from shard.world.inputs import Input, Settle
from shard.world.state import Chunk
from shard.world.tick import TickResult


@attrs.define(eq=False)
class Aftermath:
    _outbox: Outbox
    _inbox: Inbox
    _border: Border
    _trails: Trails
    _routes: Routes
    _way: Way

    def follow(
        self, live: Live, before: Chunk, inputs: Sequence[Input], result: TickResult
    ) -> None:
        """Hand on what the tick from ``before``, told ``inputs``, has led to."""
        emission = emission_of(before, live.epoch, result, trace_of=self._way.trace_of)
        extra = self._answers(live, result)
        stood = tuple(_thawed(live, inputs))
        if extra is None and not stood:
            if emission is not None:
                self._outbox.put(emission)
        else:
            emission, extra = emission or Emission(), extra or Emission()
            self._outbox.put(
                attrs.evolve(
                    emission,
                    facts=emission.facts + stood,
                    replies=extra.replies,
                    forwards=extra.forwards,
                )
            )
        self._note(live, inputs, result)
        if inputs:
            self._inbox.release(live.id)  # Somebody may have thawed, come or gone.

    def _note(self, live: Live, inputs: Sequence[Input], result: TickResult) -> None:
        for told in inputs:
            if isinstance(told, Settle):
                outcome = "entered" if told.entered else "refused"
                metrics.CROSSINGS.labels(outcome).inc()
                if told.entered:
                    self._trails.left(told.agent, told.target)
        for effect in result.effects:
            match effect:
                case Departing():
                    ask = departure(effect, live.id, live.epoch, self._way.trace_of(effect))
                    self._border.depart(effect.traveller.id, ask)
                case Placed(agent=agent):
                    self._trails.came(agent)
                case _:
                    pass

    def _answers(self, live: Live, result: TickResult) -> Emission | None:
        if not live.attaching:
            return None
        replies: list[tuple[GatewayId, ToGateway]] = []
        forwards: list[Forward] = []
        for effect in result.effects:
            match effect:
                case Placed():
                    reply = attached(effect, live)
                    asked = _asked(live, effect.agent, effect.session)
                    replies += [(gateway, reply) for gateway in asked]
                case Unplaced():
                    for attach in _asked(live, effect.agent, effect.session).values():
                        further = onward(attach)
                        if further is None:
                            refused = AttachRefused(attach.session, attach.agent)
                            replies.append((attach.gateway, refused))
                        else:
                            self._trails.left(attach.agent, further.chunk)
                            slot = self._routes.slot_of(further.chunk)
                            forwards.append(Forward(slot, further))
                case _:
                    pass
        live.attaching.clear()
        return Emission(replies=tuple(replies), forwards=tuple(forwards))


def _asked(live: Live, agent: AgentId, session: SessionId) -> dict[GatewayId, Attach]:
    return live.attaching.get((agent, session), {})


def _thawed(live: Live, inputs: Sequence[Input]) -> Iterator[PlacedFact]:
    """Yield where those stand who were refused: after a recovery it may not be on record."""
    for told in inputs:
        if isinstance(told, Settle) and not told.entered:
            agent = live.state.agents.get(told.agent)
            if agent is not None and agent.transfer is None:
                yield PlacedFact(live.id, live.epoch, agent.id, agent.x, agent.y, present=True)


def attached(placed: Placed, live: Live) -> Attached:
    return Attached(
        session=placed.session,
        agent=placed.agent,
        chunk=live.id,
        position=placed.position,
        seq=placed.seq,
        in_flight=placed.in_flight,
    )
