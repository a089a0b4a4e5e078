"""The client's half of the exchange: which frame proves which command, and how each one ended.

No I/O: frames in, frames out. An id is sent again with the same command after a reconnect until
it is acked: the server does it once. A challenge that turns out to be stale is answered by asking
again with the same id, in two steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from common import wire
from common.challenge import Claim, sign
from common.commands import Command
from common.frames import (
    Ack,
    Answer,
    Challenge,
    ClientFrame,
    CommandRequest,
    OfferedChallenge,
    Proof,
    Result,
)
from common.grid import AgentId, CommandId, SessionId
from common.refusals import AckCode, FailReason

STALE = ("challenge_expired", "challenge_unknown")
MARGIN = timedelta(seconds=1)  # An offered challenge this near its end is not worth signing.
ATTEMPTS_MAX = 3  # Fresh challenges for one command before the refusal is believed.


class Rejected(Exception):
    """The command was not accepted, and will not happen."""

    def __init__(self, code: AckCode, retry_after_ms: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.retry_after_ms = retry_after_ms


class Failed(Exception):
    """The command was accepted, and ended without completing."""

    def __init__(self, reason: FailReason) -> None:
        super().__init__(reason)
        self.reason = reason


@attrs.define
class Pending:
    """One command on its way. ``told`` is called at its ack and at its end."""

    id: CommandId
    command: dict[str, Any]
    told: Callable[[], None]
    ack: Ack | None = None
    result: Result | None = None
    attempts: int = 0
    lost: bool = False


@attrs.define
class Commanding:
    """All commands of one session. Owned by one connection task; nobody else changes it."""

    agent_id: AgentId
    session_id: SessionId
    secret: bytes = attrs.field(repr=False)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    last_seq: int = 0
    _offered: OfferedChallenge | None = None
    _pending: dict[CommandId, Pending] = attrs.field(factory=dict)
    _numbers: itertools.count[int] = attrs.field(factory=lambda: itertools.count(1))

    def begin(self, command: Command, told: Callable[[], None]) -> tuple[Pending, ClientFrame]:
        pending = Pending(CommandId(f"c-{next(self._numbers)}"), wire.unstructure(command), told)
        self._pending[pending.id] = pending
        return pending, self._request(pending)

    def forget(self, id: CommandId) -> None:
        self._pending.pop(id, None)

    def abandoned(self) -> None:
        """The session is over: what was on its way ended with it, or never began."""
        for pending in self._pending.values():
            pending.lost = True
            pending.told()

    def reconnected(self, offered: OfferedChallenge) -> list[ClientFrame]:
        """What to send again on a new connection: every command that was not acked yet."""
        self._offered = offered
        return [self._request(pending) for pending in self._pending.values() if not pending.ack]

    def challenged(self, challenge: Challenge) -> Answer | None:
        pending = self._pending.get(challenge.id)
        if pending is None:
            return None
        signature = self._sign(pending, challenge.nonce, challenge.expires_at)
        return Answer(challenge.id, challenge.nonce, signature)

    def acked(self, ack: Ack) -> CommandRequest | None:
        """Take note; return the request to repeat when only the challenge was stale."""
        self._offered = ack.challenge or self._offered
        self._note(ack.seq)
        pending = self._pending.get(ack.id)
        if pending is None or pending.ack is not None:
            return None
        if ack.code in STALE and pending.attempts < ATTEMPTS_MAX:
            pending.attempts += 1
            return CommandRequest(pending.id, pending.command)
        pending.ack = ack
        pending.told()
        return None

    def ended(self, result: Result) -> None:
        self._note(result.seq)
        if pending := self._pending.get(result.id):
            pending.result = result
            pending.told()

    def _note(self, seq: int | None) -> None:
        self.last_seq = max(self.last_seq, seq or 0)

    def _request(self, pending: Pending) -> CommandRequest:
        """Prove it at once with the challenge at hand (one round trip), or ask for one (two)."""
        offered, self._offered = self._offered, None
        if offered is None or self.now() + MARGIN > datetime.fromisoformat(offered.expires_at):
            return CommandRequest(pending.id, pending.command)
        signature = self._sign(pending, offered.nonce, offered.expires_at)
        return CommandRequest(pending.id, pending.command, Proof(offered.nonce, signature))

    def _sign(self, pending: Pending, nonce: str, expires_at: str) -> str:
        claim = Claim(
            self.agent_id, self.session_id, pending.id, pending.command, nonce, expires_at
        )
        return sign(self.secret, claim)
