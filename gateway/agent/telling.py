"""How what we know is told to the client: from lines and challenges to frames.

Pure, and nothing but a change of words.
"""

from __future__ import annotations

from common.envelopes import AckLine, ResultLine
from common.frames import Ack, Challenge, OfferedChallenge, Result
from common.grid import CommandId
from common.refusals import AckCode
from gateway.agent.challenges import OpenChallenge


def challenge(id: CommandId, opened: OpenChallenge) -> Challenge:
    return Challenge(id, opened.nonce, opened.expires_at)


def accepted(line: AckLine, following: OfferedChallenge) -> Ack:
    return Ack(line.id, "accepted", tick=line.tick, seq=line.seq, challenge=following)


def rejected(
    id: CommandId, code: AckCode, retry_after_ms: int | None, following: OfferedChallenge
) -> Ack:
    return Ack(id, "rejected", code, retry_after_ms, challenge=following)


def result(line: ResultLine) -> Result:
    return Result(
        line.id,
        line.seq,
        "completed" if line.reason is None else "failed",
        line.tick,
        line.chunk,
        line.position,
        line.reason,
    )
