"""What a session's client is answered: from its frames and the shards' lines to actions.

Pure: a frame, a line or the time goes in, actions come out (``actions``); clock and randomness
are arguments. It never waits, and no frame makes it raise. Its promises: only a fresh proof gets
a command offered; every accepted ack and every result goes out once, in order of seq; an id that
was answered is answered the same again. Times are Unix milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import attrs

from common import wire
from common.bus import Take, Verdict
from common.commands import Command, Say
from common.envelopes import AckLine, ResultLine, SessionLine
from common.frames import Answer, Cancel, CommandRequest, Error, OfferedChallenge
from common.grid import ChunkId, CommandId
from common.journal import Known
from common.limits import (
    BAD_FRAMES_MAX,
    COOLDOWN_MS,
    LINES_HELD_MAX,
    PENDING_PER_SESSION_MAX,
    RETRY_AFTER_MS,
)
from common.refusals import AckCode, CloseCode
from gateway.agent import hearing, telling
from gateway.agent.actions import (
    Action,
    End,
    FindLines,
    Forgive,
    OfferCancel,
    OfferCommand,
    Recall,
    Send,
    Settle,
    Strike,
    TakeTokens,
)
from gateway.agent.challenges import Asked, Challenges, OpenChallenge
from gateway.agent.docket import Docket
from gateway.agent.sitting import Sitting
from gateway.moderation import Moderator

_command: Callable[[object], Command] = wire.structurer(cast("type[Command]", Command))

_CROWDED_MS = 200  # A tick: by then some of the commands on their way are answered.


@attrs.define
class Exchange:
    """Owned by one connection. ``chunk`` is where its agent stands: commands go there."""

    sitting: Sitting
    docket: Docket
    chunk: ChunkId
    _draw: Callable[[], bytes]
    """Returns NONCE_BYTES that nobody can guess."""
    _cooldown_until_ms: int = 0
    _moderator: Moderator = attrs.field(factory=Moderator)
    _challenges: Challenges = attrs.field(factory=Challenges, init=False)
    _unforgiven: bool = attrs.field(default=True, init=False)
    """Whether there may be strikes to forgive; earlier connections may have left some."""
    _bad_frames: int = attrs.field(default=0, init=False)

    def offer_challenge(self, now_ms: int) -> OfferedChallenge:
        """Open a challenge for the next command, whatever it is."""
        return self._challenges.offer(self._draw(), now_ms).offered

    # What the client says

    def hear(self, text: str | None, now_ms: int) -> list[Action]:
        """Take a frame; None stands for a binary one."""
        match hearing.read(text):
            case hearing.Nonsense(message=message):
                return self._bad(message)
            case hearing.Mistake(message=message, id=id):
                return [Send(Error("validation_failed", message, id))]
            case Cancel(id=id):
                return self._cancel(id, now_ms)
            case frame:
                return self._once(frame, now_ms)

    def _bad(self, message: str) -> list[Action]:
        self._bad_frames += 1
        told: list[Action] = [Send(Error("malformed", message))]
        if self._bad_frames >= BAD_FRAMES_MAX:
            told.append(End(CloseCode.POLICY, f"{BAD_FRAMES_MAX} frames that made no sense"))
        return told

    def _cancel(self, id: CommandId, now_ms: int) -> list[Action]:
        if self.docket.may_cancel(id, now_ms):
            return [OfferCancel(self.sitting.cancel(id, self.chunk))]
        if self.docket.is_in_flight(id) or self.docket.find(id):
            return []  # Under way already; or it ended while the client was writing.
        return [Send(Error("not_in_flight", "there is no such command in flight", id))]

    def cancel_failed(self, id: CommandId) -> list[Action]:
        """The cancellation could not be offered, and may be asked for again at once."""
        self.docket.forget_cancel(id)
        return [Send(Error("unavailable", "the command could not be cancelled now", id))]

    def superseded(self) -> list[Action]:
        """End what the agent still does for us: its newer session may be slow to come.

        (And let it stay in the world until then.)
        """
        return [
            OfferCancel(self.sitting.cancel(id, self.chunk, "session_ended"))
            for id in self.docket.busy_with
        ]

    def _once(self, frame: hearing.Concluding, now_ms: int) -> list[Action]:
        """An id that was answered is answered the same again, whatever comes with it."""
        if known := self.docket.find(frame.id):
            return self._repeat(known, now_ms)
        if self.docket.is_pending(frame.id):
            return []  # Its ack is on the way, and answers this one too.
        if self.docket.may_be_older(frame.id):
            return [Recall(frame)]
        return self._consider(frame, now_ms)

    def recalled(self, frame: hearing.Concluding, known: Known | None, now_ms: int) -> list[Action]:
        """What PostgreSQL knows of the id of ``frame``."""
        if known is None:
            return self._consider(frame, now_ms)
        assert known.ack.seq is not None, "only accepted commands are remembered"
        if known.ack.seq > self.docket.delivered:
            return [FindLines(known.ack.seq)]  # It goes out in its turn, for the first time.
        self.docket.recall(known)
        return self._repeat(known, now_ms)

    def _repeat(self, known: Known, now_ms: int) -> list[Action]:
        told: list[Action] = [Send(telling.accepted(known.ack, self.offer_challenge(now_ms)))]
        if known.result is not None and known.result.seq <= self.docket.delivered:
            told.append(Send(telling.result(known.result)))
        return told

    def _consider(self, frame: hearing.Concluding, now_ms: int) -> list[Action]:
        match frame:
            case CommandRequest():
                return self._request(frame, now_ms)
            case Answer():
                return self._answer(frame, now_ms)
            case hearing.Faulty(id=id):
                self._challenges.drop(id)
                return self.reject(id, "validation_failed", now_ms)

    # From the request to the proof

    def _request(self, request: CommandRequest, now_ms: int) -> list[Action]:
        try:
            command = _command(request.command)
        except wire.Malformed:
            return self.reject(request.id, "validation_failed", now_ms)
        asked = Asked(request.id, request.command, command)
        if refused := self._refusal(asked, now_ms):
            return refused
        takes = self.sitting.takes(command)
        if (answer := request.answer) is not None:
            challenge = self._challenges.spend(answer.nonce, None)
            return self._prove(asked, challenge, answer.signature, takes, now_ms)
        before = self._challenges.of(asked.id)
        if before is not None and before.asked == asked and now_ms <= before.until_ms:
            return [Send(telling.challenge(asked.id, before))]
        return [TakeTokens(asked, takes)] if takes else self.granted(asked, Verdict(), now_ms)

    def granted(self, asked: Asked, verdict: Verdict, now_ms: int) -> list[Action]:
        """Tokens were taken, or not, for a command that is yet to be proven."""
        if refused := self._refused_by(verdict, asked.id, now_ms):
            return refused
        opened = self._challenges.ask(asked, self._draw(), now_ms)
        return [Send(telling.challenge(asked.id, opened))]

    def _answer(self, answer: Answer, now_ms: int) -> list[Action]:
        challenge = self._challenges.spend(answer.nonce, answer.id)
        if challenge is None or challenge.asked is None:
            return self.reject(answer.id, "challenge_unknown", now_ms)
        if refused := self._refusal(challenge.asked, now_ms):
            return refused
        return self._prove(challenge.asked, challenge, answer.signature, (), now_ms)

    def _refusal(self, asked: Asked, now_ms: int) -> list[Action]:
        """Why ``asked`` need not be proven at all; empty when it must be."""
        if not self.sitting.may(asked.command):
            return self.reject(asked.id, "scope_missing", now_ms)
        if isinstance(asked.command, Say) and (
            gag := self._moderator.gag(self.sitting.agent, asked.command.text, now_ms)
        ):
            return self.reject(asked.id, gag.code, now_ms, gag.retry_after_ms)
        if not isinstance(asked.command, Say) and self.docket.is_busy:
            return self.reject(asked.id, "in_flight", now_ms)
        if (wait_ms := self._cooldown_until_ms - now_ms) > 0:
            return self.reject(asked.id, "cooldown", now_ms, wait_ms)
        if self.docket.pending >= PENDING_PER_SESSION_MAX:
            return self.reject(asked.id, "rate_limited", now_ms, _CROWDED_MS)
        return []

    def _prove(
        self,
        asked: Asked,
        challenge: OpenChallenge | None,
        signature: str,
        takes: tuple[Take, ...],
        now_ms: int,
    ) -> list[Action]:
        if challenge is None:
            return self.reject(asked.id, "challenge_unknown", now_ms)
        if now_ms > challenge.until_ms:
            self._unforgiven = True
            return [*self.reject(asked.id, "challenge_expired", now_ms), Strike("expired")]
        if not self.sitting.is_proven(asked, challenge, signature):
            self._unforgiven = True
            return [*self.reject(asked.id, "invalid_signature", now_ms), Strike("invalid")]
        message = self.sitting.offer(asked, self.chunk, now_ms)
        self.docket.offer(message, now_ms)
        return [OfferCommand(message, takes)]

    def cooled_down(self, now_ms: int) -> None:
        """The last bad answer filled a counter."""
        self._cooldown_until_ms = now_ms + COOLDOWN_MS

    # What becomes of a command

    def offered(self, id: CommandId, verdict: Verdict, now_ms: int) -> list[Action]:
        """The first offer of ``id`` was made (perhaps), or certainly was not."""
        refused = self._refused_by(verdict, id, now_ms)
        return refused if refused and self.docket.drop(id) else []

    def _refused_by(self, verdict: Verdict, id: CommandId, now_ms: int) -> list[Action]:
        if verdict.retry_after_ms:
            return self.reject(id, "rate_limited", now_ms, verdict.retry_after_ms)
        if verdict.full:
            return self.reject(id, "unavailable", now_ms, RETRY_AFTER_MS)
        return []

    def hear_line(self, line: SessionLine, now_ms: int) -> list[Action]:
        """Take what a shard said, in whatever order it arrives, and how often."""
        if isinstance(line, AckLine) and line.seq is None:
            assert line.code is not None, "an ack without a seq is a refusal"
            if not self.docket.refuse(line):
                return []
            return self.reject(line.id, line.code, now_ms, line.retry_after_ms)
        told: list[Action] = []
        for ready in self.docket.take(line):
            told += self._tell(ready, now_ms)
        held = self.docket.held
        if held > LINES_HELD_MAX:
            told.append(End(CloseCode.OVERLOADED, "results are missing; resume"))
        elif held:
            told.append(FindLines())
        return told

    def _tell(self, line: SessionLine, now_ms: int) -> list[Action]:
        if isinstance(line, ResultLine):
            return [Send(telling.result(line))]
        return [Send(telling.accepted(line, self.offer_challenge(now_ms))), *self._forgive()]

    def _forgive(self) -> list[Action]:
        forgiven, self._unforgiven = self._unforgiven, False
        return [Forgive()] if forgiven else []

    def replay(self, line: SessionLine, now_ms: int) -> list[Action]:
        """Tell a line of before the client came back; bad answers since then stay counted."""
        unforgiven = self._unforgiven
        told = self.hear_line(line, now_ms)
        self._unforgiven = unforgiven
        return [action for action in told if not isinstance(action, Forgive)]

    def overdue(self, now_ms: int) -> list[Action]:
        """What to do about commands that nobody has decided on in time."""
        overdue = self.docket.overdue(now_ms)
        settled: list[Action] = [Settle(id) for id in overdue.expired]
        return settled + [OfferCommand(message, again=True) for message in overdue.again]

    def settled(self, id: CommandId, known: Known | None, now_ms: int) -> list[Action]:
        """What PostgreSQL knows of ``id`` after its last moment: nothing, or all there is."""
        if known is not None and (known.ack.seq or 0) > self.docket.delivered:
            return [FindLines(known.ack.seq or 0)]
        is_new = self.docket.drop(id)
        if known is not None:
            self.docket.recall(known)  # It was told long ago; an earlier connection asked again.
            return []
        return self.reject(id, "unavailable", now_ms) if is_new else []

    def unsettled(self, id: CommandId, now_ms: int) -> list[Action]:
        """PostgreSQL can't be asked about ``id``: it may have been accepted, and may not."""
        if not self.docket.is_hopeless(id, now_ms):
            return []  # It stays due.
        return [End(CloseCode.OVERLOADED, "nobody knows now if a command was accepted; resume")]

    def reject(
        self, id: CommandId, code: AckCode, now_ms: int, retry_after_ms: int | None = None
    ) -> list[Action]:
        following = self.offer_challenge(now_ms)
        return [Send(telling.rejected(id, code, retry_after_ms, following))]
