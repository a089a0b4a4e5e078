"""Whatever a client sends, and however lines arrive: no exception, and no broken promise."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from common import wire
from common.bus import Verdict
from common.envelopes import SessionLine
from common.frames import Ack, Challenge, OfferedChallenge, Result, SessionReady
from common.grid import CommandId
from common.journal import Known
from common.limits import CHALLENGES_ASKED_MAX, CHALLENGES_OFFERED_MAX, PENDING_PER_SESSION_MAX
from gateway.agent import hearing
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
from gateway.agent.answered import Answered
from gateway.agent.docket import Docket
from gateway.agent.exchange import Exchange
from gateway.agent.ordering import Ordering
from tests.gateway.agent.builders import (
    CHUNK,
    MOVE,
    NOW_MS,
    SAY,
    Client,
    a_refusal,
    a_result,
    a_sitting,
    an_ack,
    numbers,
)

IDS = st.sampled_from(["c-1", "c-2", "s-1"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["command_req", "answer", "cancel", "ack", "x"]) | JSON,
        "id": IDS | JSON,
        "command": st.sampled_from([MOVE, SAY]) | JSON,
        "nonce": st.text(max_size=30) | JSON,
        "signature": st.text(max_size=50) | JSON,
        "answer": st.fixed_dictionaries({"nonce": st.text(), "signature": st.text()}) | JSON,
        "more": JSON,
    },
)


@given(st.text() | JSON.map(json.dumps) | NEARLY.map(json.dumps))
def test_any_text_is_heard_as_something(text: str) -> None:
    heard = hearing.read(text)
    if isinstance(heard, hearing.Mistake | hearing.Nonsense):
        assert len(heard.message) <= 300


@given(st.binary(max_size=200))
def test_any_bytes_are_heard_as_something(data: bytes) -> None:
    hearing.read(data.decode("latin-1"))
    hearing.read(data.decode("utf-8", "replace"))


FRAME = st.tuples(st.just("frame"), st.none() | st.text(max_size=40) | NEARLY.map(json.dumps))
HONEST = st.tuples(st.sampled_from(["ask", "pipeline", "guess", "late"]), IDS)
CANCEL = st.tuples(st.just("cancel"), IDS)
LINE = st.tuples(
    st.sampled_from(["ack", "result", "refusal"]), IDS, st.integers(min_value=1, max_value=8)
)
TIME = st.tuples(st.just("time"), st.integers(min_value=0, max_value=40_000))
STEPS = st.lists(FRAME | HONEST | CANCEL | LINE | TIME, max_size=40)


class Shell:
    """Carries actions out as the real one does, drawing what comes of them, and checks them."""

    def __init__(self, draw: Any, complete: bool) -> None:
        self.draw = draw
        docket = Docket(Ordering(), Answered(complete))
        sitting = a_sitting(commands_per_s=10, chat_per_min=5)
        self.client = Client(Exchange(sitting, docket, CHUNK, numbers()))
        self.told: list[int] = []
        self.known: dict[CommandId, Known] = {}
        self.offered: OfferedChallenge | None = None
        self.challenge: Challenge | None = None

    def run(self, actions: list[Action]) -> None:
        for action in actions:
            self.run(self._carry_out(action))

    def _carry_out(self, action: Action) -> list[Action]:
        exchange, now_ms = self.client.exchange, self.client.now_ms
        match action:
            case Send(frame=frame):
                self._sent(frame)
            case TakeTokens(asked=asked, takes=takes):
                assert takes
                return exchange.granted(asked, self._verdict(), now_ms)
            case OfferCommand(message=message, again=False):
                assert exchange.docket.is_pending(message.id)
                return exchange.offered(message.id, self._verdict(), now_ms)
            case Recall(frame=frame):
                return exchange.recalled(frame, self.known.get(frame.id), now_ms)
            case Settle(id=id):
                return exchange.settled(id, self.known.get(id), now_ms)
            case Strike():
                if self.draw(st.booleans()):
                    exchange.cooled_down(now_ms)
            case OfferCommand() | OfferCancel() | Forgive() | FindLines() | End():
                pass
        return []

    def _verdict(self) -> Verdict:
        verdict: Verdict = self.draw(st.sampled_from([Verdict(), Verdict(50), Verdict(full=True)]))
        return verdict

    def _sent(self, frame: object) -> None:
        wire.encode(frame)
        assert not isinstance(frame, SessionReady)
        if isinstance(frame, Challenge):
            self.challenge = frame
        if isinstance(frame, Ack):
            assert (frame.status == "accepted") == (frame.seq is not None) == (frame.code is None)
            assert frame.challenge is not None
            self.offered = frame.challenge
        if isinstance(frame, Ack | Result) and frame.seq is not None:
            self.told.append(frame.seq)

    def step(self, kind: str, *more: Any) -> None:
        client = self.client
        match kind:
            case "frame":
                self.run(client.exchange.hear(more[0], client.now_ms))
            case "cancel":
                self.run(client.exchange.hear(json.dumps({"type": kind, "id": more[0]}), NOW_MS))
            case "ask" | "pipeline" | "guess" | "late":
                self._prove(kind, more[0])
            case "time":
                client.now_ms += more[0]
                self.run(client.exchange.overdue(client.now_ms))
            case _:
                self.run(client.exchange.hear_line(self._line(kind, *more), client.now_ms))

    def _prove(self, kind: str, id: str) -> None:
        client, command = self.client, SAY if id.startswith("s") else MOVE
        request: dict[str, Any] = {"type": "command_req", "id": id, "command": command}
        if kind == "pipeline" and self.offered is not None:
            signature = client.sign(id, command, self.offered)
            request["answer"] = {"nonce": self.offered.nonce, "signature": signature}
        self.run(client.exchange.hear(json.dumps(request), client.now_ms))
        if kind in ("guess", "late") and self.challenge is not None:
            challenge = self.challenge
            client.now_ms += 3000 * (kind == "late")
            signature = client.sign(id, command, challenge) if kind == "late" else "guess"
            answer = {"type": "answer", "id": id, "nonce": challenge.nonce, "signature": signature}
            self.run(client.exchange.hear(json.dumps(answer), client.now_ms))

    def _line(self, kind: str, id: str, seq: int) -> SessionLine:
        match kind:
            case "ack":
                self.known.setdefault(CommandId(id), Known(an_ack(seq, id), None))
                return an_ack(seq, id)
            case "result":
                return a_result(seq, id)
            case _:
                return a_refusal("not_walkable", id)


@settings(max_examples=300)
@given(st.data(), STEPS, st.booleans())
def test_whatever_happens_the_promises_hold(data: Any, steps: list[Any], complete: bool) -> None:
    shell = Shell(data.draw, complete)
    for step in steps:
        before = shell.client.exchange.docket.delivered
        shell.step(*step)
        docket = shell.client.exchange.docket
        assert docket.delivered >= before
        assert docket.pending <= PENDING_PER_SESSION_MAX
        challenges = shell.client.exchange._challenges
        assert len(challenges) <= CHALLENGES_ASKED_MAX + CHALLENGES_OFFERED_MAX
    first_times = list(dict.fromkeys(shell.told))
    assert first_times == sorted(first_times), "a line was told before an earlier one"


@given(st.permutations(range(1, 9)), st.lists(st.integers(1, 8), max_size=10))
def test_lines_leave_in_order_and_once_in_whatever_order_they_come(
    order: list[int], repeated: list[int]
) -> None:
    client = Client()
    told: list[int | None] = []
    for seq in [*order, *repeated]:
        line = an_ack(seq, f"c-{seq}") if seq % 2 else a_result(seq, f"c-{seq - 1}")
        told += [
            action.frame.seq
            for action in client.exchange.hear_line(line, NOW_MS)
            if isinstance(action, Send) and isinstance(action.frame, Ack | Result)
        ]
    assert told == list(range(1, 9))
