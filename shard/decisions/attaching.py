"""Sessions that begin and end: who drives an agent, and whether it is in the world at all.

Pure. One danger is to let an agent enter where it is not, while it stands somewhere else: so an
agent enters only where it was recorded last, and who does not know asks. The other is a session
that is over, whose Attach was long under way: only a live one drives, by the journal's word.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from common.bus import Received
from common.envelopes import Attach, Attached, Detach
from common.frames import Position
from common.grid import CHUNK_SIZE, ChunkId, chunk_id
from common.limits import CHUNK_AGENTS_MAX
from shard.decisions.plan import Decision, Round
from shard.decisions.pursuing import pursue
from shard.decisions.refusing import refuse
from shard.live import Live
from shard.spiral import middle, onward
from shard.world.admission import is_held
from shard.world.inputs import Arrive, Enter, Input, Leave, Order, subject
from shard.world.state import Agent


def attach(now: Round, received: Received, message: Attach) -> Decision:
    if (end := now.findings.over.get(message.session)) is not None:
        return Decision(received, replies=((message.gateway, end),))
    live = now.live(message.chunk)
    if live is None:
        missing = Decision(received, missing=message.chunk)
        return _unless_elsewhere(now, received, message, lambda: missing)
    agent, own = live.state.agents.get(message.agent), _own(now, live, message)
    if any(isinstance(one, Enter) and one.session == message.session for one in own):
        return Decision(received, live.id, attach=message)  # Asked again: one answer is coming.
    if is_held(agent, own):
        return Decision(received, live.id, is_held=True)
    if agent is None:
        return _unless_elsewhere(
            now, received, message, lambda: _come(now, received, message, live)
        )
    if agent.session == message.session:
        if any(isinstance(one, Order) for one in own):
            # Its ack is out, or is about to be, and the agent's seq does not count it yet.
            return Decision(received, live.id, is_held=True)
        reply = (message.gateway, _attached(agent, live.id))
        return Decision(received, live.id, replies=(reply,))
    return _enter(now, received, message, live)


def _unless_elsewhere(
    now: Round, received: Received, message: Attach, come: Callable[[], Decision]
) -> Decision:
    if _was_sent_round(now, message):
        return come()
    return pursue(now, received, message, come)


def _own(now: Round, live: Live, message: Attach | Detach) -> list[Input]:
    return [one for one in now.waiting(live) if subject(one) == message.agent]


def _was_sent_round(now: Round, message: Attach) -> bool:
    """Whether a newcomer found no room where new agents are recorded, and looks for it here."""
    if message.at is not None or message.hops == 0 or now.trails.get(message.agent) is not None:
        return False
    seen = now.findings.whereabouts.get(message.agent)
    return seen is not None and seen == middle(message.chunk, message.hops)


def _come(now: Round, received: Received, message: Attach, live: Live) -> Decision:
    coming = sum(isinstance(one, Enter | Arrive) for one in now.waiting(live))
    if len(live.state.agents) + coming < CHUNK_AGENTS_MAX:
        return _enter(now, received, message, live)
    further = onward(message)
    if further is None:
        return refuse(received, message)
    slot = now.routes.slot_of(further.chunk)
    return Decision(received, forwards=((slot, further),), trail=(message.agent, further.chunk))


def _enter(now: Round, received: Received, message: Attach, live: Live) -> Decision:
    at = message.at if message.at and _chunk_of(message.at) == live.id else None
    told = Enter(message.agent, message.session, message.name, at)
    row = attrs.evolve(now.plan(live, told), driver=message.session)
    return Decision(received, live.id, told, row, attach=message)


def _chunk_of(at: Position) -> ChunkId:
    return chunk_id(at.x // CHUNK_SIZE, at.y // CHUNK_SIZE)


def _attached(agent: Agent, chunk: ChunkId) -> Attached:
    in_flight = agent.doing.id if agent.doing else None
    at = Position(agent.x, agent.y)
    return Attached(agent.session, agent.id, chunk, at, agent.seq, in_flight)


def detach(now: Round, received: Received, message: Detach) -> Decision:
    live = now.live(message.chunk)
    if live is None:
        return pursue(now, received, message, lambda: Decision(received))
    agent, own = live.state.agents.get(message.agent), _own(now, live, message)
    told = Leave(message.agent, message.session)
    if told in own:
        return Decision(received)
    if is_held(agent, own):
        return Decision(received, live.id, is_held=True)
    if agent is None:
        return pursue(now, received, message, lambda: Decision(received))
    if agent.session != message.session:
        return Decision(received)  # Another session drives it by now.
    return Decision(received, live.id, told, now.plan(live, told))
