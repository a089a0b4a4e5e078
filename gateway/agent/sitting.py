"""One session as its commands see it: who acts, with which proof, what it may do, how often.

Pure. Nothing here changes while the session lasts.
"""

from __future__ import annotations

import attrs

from common.accounts import Scope, Session
from common.bus import Take
from common.challenge import Claim, is_signed
from common.commands import Command, Say
from common.envelopes import CancelOffered, CommandOffered
from common.frames import SessionLimits
from common.grid import AgentId, ChunkId, CommandId, GatewayId, SessionId
from common.limits import CHALLENGE_MS, COMMAND_MS_MAX
from common.refusals import WithdrawReason
from common.settings import Settings
from common.traces import NO_SAMPLING, Sampling, command_trace
from gateway.agent.challenges import Asked, OpenChallenge

_BURST_SECONDS = 2  # The protocol's: burst 20 at 10 a second.


@attrs.frozen
class Sitting:
    """``commands_per_s`` and ``chat_per_min`` are off at 0."""

    session: SessionId
    agent: AgentId
    secret: bytes = attrs.field(repr=False)
    scopes: frozenset[Scope]
    gateway: GatewayId
    commands_per_s: int
    chat_per_min: int
    parent: str = ""
    """The ``traceparent`` that the connection came with, or ""."""
    sampling: Sampling = NO_SAMPLING

    def may(self, command: Command) -> bool:
        return (Scope.CHAT if isinstance(command, Say) else Scope.ACT) in self.scopes

    def takes(self, command: Command) -> tuple[Take, ...]:
        """What ``command`` costs: a token of the session, and one of the agent for a ``say``."""
        takes = []
        if self.commands_per_s:
            burst = self.commands_per_s * _BURST_SECONDS
            takes.append(Take("command", self.session, float(self.commands_per_s), burst))
        if self.chat_per_min and isinstance(command, Say):
            takes.append(Take("chat", self.agent, self.chat_per_min / 60, self.chat_per_min))
        return tuple(takes)

    def is_proven(self, asked: Asked, challenge: OpenChallenge, signature: str) -> bool:
        """Whether ``signature`` is this session's, over ``asked`` and ``challenge``."""
        claim = Claim(
            self.agent, self.session, asked.id, asked.sent, challenge.nonce, challenge.expires_at
        )
        return is_signed(self.secret, claim, signature)

    def offer(self, asked: Asked, chunk: ChunkId, now_ms: int) -> CommandOffered:
        expires_at_ms = now_ms + COMMAND_MS_MAX
        return CommandOffered(
            self.session,
            self.agent,
            asked.id,
            asked.command,
            chunk,
            self.gateway,
            expires_at_ms,
            trace=self.trace(asked.id, expires_at_ms),
        )

    def trace(self, id: CommandId, expires_at_ms: int = 0) -> str:
        return command_trace(self.session, id, expires_at_ms, self.parent, self.sampling)

    def cancel(
        self, id: CommandId, chunk: ChunkId, reason: WithdrawReason = "cancelled"
    ) -> CancelOffered:
        return CancelOffered(self.session, self.agent, id, chunk, reason=reason)

    @property
    def limits(self) -> SessionLimits:
        return SessionLimits(self.commands_per_s, self.chat_per_min, CHALLENGE_MS)


def sitting_of(
    session: Session,
    gateway: GatewayId,
    settings: Settings,
    parent: str = "",
    sampling: Sampling = NO_SAMPLING,
) -> Sitting:
    return Sitting(
        session.session,
        session.agent,
        session.challenge_secret,
        session.scopes,
        gateway,
        settings.commands_per_s,
        settings.chat_per_min,
        parent,
        sampling,
    )
