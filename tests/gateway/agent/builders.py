"""An exchange with a client that can sign, and lines as a shard would write them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import attrs

from common import wire
from common.accounts import ALL_SCOPES, Scope
from common.bus import Verdict
from common.challenge import Claim, sign
from common.envelopes import AckLine, CommandOffered, ResultLine
from common.frames import Ack, Challenge, OfferedChallenge, Position, Result, ServerFrame
from common.grid import AgentId, ChunkId, CommandId, GatewayId, SessionId, Tick
from common.limits import COMMAND_MS_MAX
from common.refusals import AckCode, FailReason
from gateway.agent.actions import Action, OfferCommand, Send, TakeTokens
from gateway.agent.docket import Docket
from gateway.agent.exchange import Exchange
from gateway.agent.sitting import Sitting

F = TypeVar("F")

AGENT = AgentId("agt_1")
SESSION = SessionId("ses_1")
CHUNK = ChunkId("0:0")
SECRET = bytes(range(32))
NOW_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
MOVE: Mapping[str, Any] = {"name": "move_to", "x": 3, "y": -4}
SAY: Mapping[str, Any] = {"name": "say", "text": "hello"}


def a_sitting(
    scopes: Iterable[Scope] = ALL_SCOPES, commands_per_s: int = 0, chat_per_min: int = 0
) -> Sitting:
    gateway = GatewayId("gateway-1")
    return Sitting(SESSION, AGENT, SECRET, frozenset(scopes), gateway, commands_per_s, chat_per_min)


def an_ack(seq: int, id: str = "c-1", tick: int = 7) -> AckLine:
    return AckLine(SESSION, CommandId(id), seq, Tick(tick))


def a_refusal(
    code: AckCode, id: str = "c-1", expires_at_ms: int = NOW_MS + COMMAND_MS_MAX
) -> AckLine:
    """Of what was offered at NOW_MS, unless it says otherwise."""
    return AckLine(SESSION, CommandId(id), code=code, expires_at_ms=expires_at_ms)


def a_result(seq: int, id: str = "c-1", reason: FailReason | None = None) -> ResultLine:
    return ResultLine(SESSION, CommandId(id), seq, Tick(9), CHUNK, Position(3, -4), reason)


def numbers() -> Any:
    """Nonces of 16 bytes that say which one they are: 0, 1, 2, ..."""
    counter = itertools.count()
    return lambda: next(counter).to_bytes(16, "big")


@attrs.define
class Client:
    """The client's half of one session, and time. Tokens are there unless ``verdict`` says no."""

    exchange: Exchange = attrs.field(
        factory=lambda: Exchange(a_sitting(), Docket(), CHUNK, numbers())
    )
    now_ms: int = NOW_MS
    verdict: Verdict = attrs.field(factory=Verdict)
    secret: bytes = SECRET

    def say(self, frame: object) -> list[Action]:
        """Send ``frame``; tokens are taken at once, the rest is left to the test."""
        text = frame if isinstance(frame, str) else wire.encode(frame).decode()
        return self._with_tokens(self.exchange.hear(text, self.now_ms))

    def _with_tokens(self, actions: list[Action]) -> list[Action]:
        done = []
        for action in actions:
            if isinstance(action, TakeTokens):
                done += self.exchange.granted(action.asked, self.verdict, self.now_ms)
            else:
                done.append(action)
        return done

    def request(
        self,
        id: str = "c-1",
        command: object = MOVE,
        proof: tuple[str, str] | None = None,
    ) -> list[Action]:
        frame: dict[str, Any] = {"type": "command_req", "id": id, "command": command}
        if proof is not None:
            frame["answer"] = {"nonce": proof[0], "signature": proof[1]}
        return self.say(frame)

    def answer(self, challenge: Challenge, command: Mapping[str, Any] = MOVE) -> list[Action]:
        signature = self.sign(challenge.id, command, challenge)
        return self.answer_with(challenge.id, challenge.nonce, signature)

    def answer_with(self, id: str, nonce: object, signature: object) -> list[Action]:
        return self.say({"type": "answer", "id": id, "nonce": nonce, "signature": signature})

    def sign(
        self, id: str, command: Mapping[str, Any], offered: OfferedChallenge | Challenge
    ) -> str:
        claim = Claim(AGENT, SESSION, CommandId(id), command, offered.nonce, offered.expires_at)
        return sign(self.secret, claim)

    def ask(self, id: str = "c-1", command: Mapping[str, Any] = MOVE) -> Challenge:
        return the(Challenge, self.request(id, command))

    def offer(self, id: str = "c-1", command: Mapping[str, Any] = MOVE) -> CommandOffered:
        """Get ``command`` proven in two steps, and offered to its shard."""
        return the_offer(self.answer(self.ask(id, command), command)).message

    def pipeline(
        self, offered: OfferedChallenge, id: str = "c-1", command: Mapping[str, Any] = MOVE
    ) -> list[Action]:
        return self.request(id, command, (offered.nonce, self.sign(id, command, offered)))

    def accept(self, seq: int, id: str = "c-1") -> list[Action]:
        return self.exchange.hear_line(an_ack(seq, id), self.now_ms)

    def finish(self, seq: int, id: str = "c-1") -> list[Action]:
        return self.exchange.hear_line(a_result(seq, id), self.now_ms)

    def run(self, id: str, seq: int, command: Mapping[str, Any] = MOVE) -> None:
        """Carry ``command`` through, from the request to its result."""
        self.offer(id, command)
        self.accept(seq, id)
        self.finish(seq + 1, id)


def frames(actions: Iterable[Action]) -> list[ServerFrame]:
    return [action.frame for action in actions if isinstance(action, Send)]


def the(kind: type[F], actions: Iterable[Action]) -> F:
    """The one frame that is sent, which is a ``kind``."""
    (frame,) = frames(actions)
    assert isinstance(frame, kind), frame
    return frame


def the_offer(actions: Iterable[Action]) -> OfferCommand:
    (action,) = actions
    assert isinstance(action, OfferCommand), action
    return action


def code(actions: Iterable[Action]) -> AckCode | None:
    """The code of the one ack that is sent."""
    ack = the(Ack, actions)
    assert (ack.status == "accepted") == (ack.code is None)
    return ack.code


def seqs(actions: Iterable[Action]) -> list[int | None]:
    return [frame.seq for frame in frames(actions) if isinstance(frame, Ack | Result)]
