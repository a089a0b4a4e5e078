"""What is said to a message that can't be dealt with now: PostgreSQL is away, or there is no end.

Pure. Nothing here was promised to anybody. What gets no answer is repeated by whoever sent it
(questions at a border) or made good by the session's presence running out (a detach).
"""

from __future__ import annotations

from common.bus import Received
from common.envelopes import AckLine, Attach, AttachRefused, CommandOffered, ToShard
from shard.decisions.plan import Decision


def refuse(received: Received, message: ToShard) -> Decision:
    match message:
        case CommandOffered():
            ack = AckLine(message.session, message.id, code="unavailable")
            return Decision(received, lines=(ack,), outcome="unavailable")
        case Attach():
            refused = AttachRefused(message.session, message.agent)
            return Decision(received, replies=((message.gateway, refused),))
        case _:
            return Decision(received)
