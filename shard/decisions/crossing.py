"""The two messages of a crossing: the question at the target, and the answer at the source.

Pure. The transfer's row in PostgreSQL decides; what it says is in the findings once it was asked.
"""

from __future__ import annotations

import attrs

from common.bus import Received
from common.envelopes import ArrivalAsked, CrossingAnswered
from common.grid import AgentId, Slot
from shard.decisions.plan import Decision, Round
from shard.live import Live
from shard.world.codec import decode_agent
from shard.world.inputs import Arrive, Settle, subject


def arrival(now: Round, received: Received, message: ArrivalAsked) -> Decision:
    live = now.live(message.chunk)
    if live is None:
        return Decision(received, missing=message.chunk)
    traveller = decode_agent(message.traveller)
    state = now.findings.decided.get(message.transfer)
    if state == "admitted" or _is_about(now, live, traveller.id):
        return Decision(received)  # Its tick will answer; or it will be asked again.
    if state is not None:
        return _answer(now, received, message, traveller.id, entered=state == "entered")
    if _stands_frozen(live, traveller.id):
        return Decision(received)  # It turned back before we settled that it had gone.
    told = Arrive(message.transfer, message.source, traveller)
    row = attrs.evolve(now.plan(live, told), transfer=message.transfer)
    return Decision(received, live.id, told, row)


def _is_about(now: Round, live: Live, agent: AgentId) -> bool:
    """Whether ``agent`` is about to come or go here; then nothing can be decided."""
    return any(subject(one) == agent for one in now.waiting(live))


def _stands_frozen(live: Live, agent: AgentId) -> bool:
    """Whether ``agent`` waits here for the outcome of a crossing, the next of which is asked about.

    One that stands here and is not frozen came by this very transfer: the journal knows.
    """
    here = live.state.agents.get(agent)
    return here is not None and here.transfer is not None


def _answer(
    now: Round, received: Received, message: ArrivalAsked, agent: AgentId, *, entered: bool
) -> Decision:
    answer = CrossingAnswered(
        transfer=message.transfer,
        agent=agent,
        chunk=message.source,
        target=message.chunk,
        entered=entered,
    )
    slot: Slot = now.routes.slot_of(message.source)
    return Decision(received, forwards=((slot, answer),))


def answered(now: Round, received: Received, message: CrossingAnswered) -> Decision:
    live = now.live(message.chunk)
    agent = live.state.agents.get(message.agent) if live is not None else None
    if live is None or agent is None or agent.transfer != message.transfer:
        return Decision(received)  # Settled already.
    if any(subject(one) == agent.id for one in now.waiting(live)):
        return Decision(received)  # About to be settled: nothing else is decided of the frozen.
    told = Settle(message.transfer, message.agent, message.target, message.entered)
    return Decision(received, live.id, told, now.plan(live, told))
