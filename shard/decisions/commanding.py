"""Commands and their cancellation.

Pure. Before a command is refused the journal is asked whether it is known: it may be one that
was accepted already and came again, and then it is answered as it was answered before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

import attrs

from common.bus import Received
from common.envelopes import AckLine, CancelOffered, CommandOffered
from common.grid import CommandId
from common.refusals import AckCode
from shard.decisions.plan import Decision, Round
from shard.decisions.pursuing import pursue
from shard.decisions.refusing import refuse, refuse_command
from shard.live import Live
from shard.world.admission import Held, NotHere, Refusal, WrongSession, admit, is_held
from shard.world.inputs import Input, Order, Withdraw, subject
from shard.world.state import Agent


def offered(now: Round, received: Received, message: CommandOffered) -> Decision:
    key = (message.session, message.id)
    if key in now.seen:
        return Decision(received)  # Twice in one batch: the first one's answer is for both.
    now.seen.add(key)
    if key in now.findings.known:
        return _known(now, received, message)
    if key in now.findings.expired:
        return refuse(received, message)
    live = now.live(message.chunk)
    if live is None:
        return pursue(now, received, message, lambda: refuse(received, message))
    return _admitted(now, received, message, live)


def _admitted(now: Round, received: Received, message: CommandOffered, live: Live) -> Decision:
    waiting = now.waiting(live)
    admission = admit(
        live.state, waiting, message.session, message.agent, message.id, message.command
    )
    match admission:
        case Order():
            return _accepted(now, received, message, live, admission)
        case Refusal(code=code):
            return _refused(now, received, message, live, code)
        case WrongSession():
            return _refused(now, received, message, live, "unavailable")
        case NotHere():
            return pursue(now, received, message, lambda: refuse(received, message))
        case Held():
            return Decision(received, live.id, is_held=True)
    assert_never(admission)


def _accepted(
    now: Round, received: Received, message: CommandOffered, live: Live, order: Order
) -> Decision:
    ack = AckLine(
        message.session, message.id, seq=order.seq, tick=live.next_tick, trace=message.trace
    )
    row = attrs.evolve(now.plan(live, order), command=ack, expires_at_ms=message.expires_at_ms)
    return Decision(received, live.id, order, row, lines=(ack,), outcome="accepted")


def _refused(
    now: Round, received: Received, message: CommandOffered, live: Live, code: AckCode
) -> Decision:
    key = (message.session, message.id)
    if key in now.findings.fresh:
        return refuse_command(received, message, code)
    would_be = AckLine(message.session, message.id, seq=0, tick=live.next_tick)
    return Decision(received, live.id, row=now.probe(live, would_be))


def _known(now: Round, received: Received, message: CommandOffered) -> Decision:
    """Answer what was answered before, to whoever asks now: as lines these are passed over."""
    known = now.findings.known[message.session, message.id]
    ack = (message.gateway, known.ack)
    replies = (ack,) if known.result is None else (ack, (message.gateway, known.result))
    return Decision(received, replies=replies, outcome="known")


def cancelled(now: Round, received: Received, message: CancelOffered) -> Decision:
    live = now.live(message.chunk)
    agent = live.state.agents.get(message.agent) if live is not None else None
    own = [one for one in now.waiting(live) if subject(one) == message.agent] if live else []
    if live is not None and is_held(agent, own):
        return Decision(received, live.id, is_held=True)
    if live is None or agent is None:
        return pursue(now, received, message, lambda: Decision(received))
    if agent.session != message.session or not _is_in_flight(agent, own, message.id):
        return Decision(received)
    told = Withdraw(message.agent, message.session, message.id, message.reason)
    return Decision(received, live.id, told, now.plan(live, told))


def _is_in_flight(agent: Agent, waiting: Iterable[Input], id: CommandId) -> bool:
    """Whether ``id`` is in flight, and not withdrawn already."""
    is_doing = agent.doing is not None and agent.doing.id == id
    for one in waiting:
        match one:
            case Order(id=ordered) if ordered == id:
                is_doing = True
            case Withdraw(id=withdrawn) if withdrawn == id:
                is_doing = False
            case _:
                pass
    return is_doing
