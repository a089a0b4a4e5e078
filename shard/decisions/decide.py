"""Which rule is for which message, and what is the same for all.

Pure. A message for a chunk of another slot is passed on, once it is sure that the topology is still
that one: two who disagree would pass it to and fro. One for a chunk that is ours is held while its
owner of before may be at work; when it has something in it and is not loaded yet, it is a question.
"""

from __future__ import annotations

from typing import assert_never

from common.bus import Received
from common.envelopes import (
    ArrivalAsked,
    Attach,
    CancelOffered,
    CommandOffered,
    CrossingAnswered,
    Detach,
    LoadAsked,
    Released,
    ShowAsked,
    ToChunk,
)
from shard.decisions import attaching, commanding, crossing, showing
from shard.decisions.plan import Decision, Round
from shard.decisions.refusing import give_up, refuse


def decide(now: Round, received: Received) -> Decision:
    """Return what becomes of ``received``; whatever is planned is noted in ``now``."""
    message = received.message
    if message is None:
        return Decision(received)  # Could not be read: whoever sent it will send it again.
    chunk = message.chunk
    if chunk in now.findings.trouble:
        return give_up(received, message)
    if not now.routes.is_ours(chunk):
        if not now.findings.has_looked:
            return Decision(received, is_unsure=True)
        return Decision(received, forwards=((now.routes.slot_of(chunk), message),))
    if isinstance(message, Released):
        return Decision(received, released=message)
    if chunk in now.chunks.spoilt:
        return give_up(received, message)
    if now.awaits(chunk):
        decision = Decision(received, chunk, is_held=True)
    elif chunk in now.chunks.pending:
        return Decision(received, missing=chunk)
    else:
        decision = _by_rule(now, received, message)
    if decision.is_held and not now.may_hold:
        return refuse(received, message)
    return decision


def _by_rule(now: Round, received: Received, message: ToChunk) -> Decision:
    chunk = message.chunk
    match message:
        case CommandOffered():
            return commanding.offered(now, received, message)
        case CancelOffered():
            return commanding.cancelled(now, received, message)
        case Attach():
            return attaching.attach(now, received, message)
        case Detach():
            return attaching.detach(now, received, message)
        case ShowAsked():
            return showing.show(now, received, message)
        case ArrivalAsked():
            return crossing.arrival(now, received, message)
        case CrossingAnswered():
            return crossing.answered(now, received, message)
        case LoadAsked():
            return Decision(received, missing=None if now.live(chunk) else chunk)
    assert_never(message)
