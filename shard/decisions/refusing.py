"""What is said to a message that can't be dealt with now: PostgreSQL is away, or there is no end.

Pure. Nothing here was promised to anybody. What gets no answer is repeated by whoever sent it
(commands, questions at a border) or made good by the session's presence running out (a detach).
"""

from __future__ import annotations

import attrs

from common.bus import Received
from common.envelopes import AckLine, Attach, AttachRefused, CommandOffered, ToShard
from common.refusals import AckCode
from shard.decisions.plan import Decision


def refuse(received: Received, message: ToShard) -> Decision:
    match message:
        case CommandOffered():
            return refuse_command(received, message, "unavailable")
        case Attach():
            refused = AttachRefused(message.session, message.agent)
            return Decision(received, replies=((message.gateway, refused),))
        case _:
            return Decision(received)


def refuse_command(received: Received, message: CommandOffered, code: AckCode) -> Decision:
    line = AckLine(
        message.session,
        message.id,
        code=code,
        expires_at_ms=message.expires_at_ms,
        trace=message.trace,
    )
    return Decision(received, refusal=line, outcome=code)


def give_up(received: Received, message: ToShard) -> Decision:
    """Refuse what is for a chunk that we do not hold now.

    Of a command nobody is told: who held the chunk before may have a commit under way that only
    taking the chunk shuts out. It is offered again, or PostgreSQL is asked once it has expired.
    """
    decision = refuse(received, message)
    return attrs.evolve(decision, is_told=False)
