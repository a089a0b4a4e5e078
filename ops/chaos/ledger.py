"""What one agent was told of its commands, checked while it is told.

No I/O: it is a tap on the agent's connections. It does not know whether what it was told is true
(``referee`` does), only whether it can be: one ack and one result for each command, and the seqs
of a session 1, 2, 3, ... each for one line. What is sent again may be answered again, alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from common.frames import Ack, ClientFrame, CommandRequest, Result, ServerFrame, SessionReady
from common.grid import AgentId, CommandId, SessionId
from ops.chaos.findings import Findings

ONCE = "every accepted command has exactly one ack and one result"
SEQS = "the seqs of a session are 1, 2, 3, ... each once"
SESSIONS = "no session is lost"


@attrs.define
class Entry:
    """One command, as its agent knows it."""

    command: dict[str, Any]
    at: float
    """When it was sent first."""
    requests: int = 0
    ack: Ack | None = None
    acks: int = 0
    result: Result | None = None
    results: int = 0

    @property
    def is_accepted(self) -> bool:
        return self.ack is not None and self.ack.status == "accepted"

    @property
    def is_over(self) -> bool:
        return self.result is not None or (self.ack is not None and not self.is_accepted)


@attrs.define
class Ledger:
    """Of one agent, over all its sessions (of which there should be one)."""

    name: str
    findings: Findings
    now: Callable[[], float]
    """Seconds since the load began."""
    ended: Callable[[float], None] = lambda sent_at: None
    """Told of each first result, with when the command was sent."""
    agent: AgentId | None = None
    session: SessionId | None = None
    resumed: int = 0
    sessions: dict[SessionId, dict[CommandId, Entry]] = attrs.field(factory=dict)
    _lines: dict[int, tuple[str, CommandId]] = attrs.field(factory=dict)
    """What each seq of the session was for."""

    @property
    def last_seq(self) -> int:
        return len(self._lines)

    def heard(self, frame: ServerFrame) -> None:
        match frame:
            case SessionReady():
                self._greeted(frame)
            case Ack():
                self._acked(frame)
            case Result():
                self._finished(frame)
            case _:
                pass

    def sent(self, frame: ClientFrame) -> None:
        if isinstance(frame, CommandRequest):
            entry = self._entries().setdefault(frame.id, Entry(frame.command, self.now()))
            entry.requests += 1

    def unfinished(self) -> Iterator[tuple[CommandId, Entry]]:
        """Commands of the session that were accepted, and whose result was not heard."""
        if self.session is not None:
            for id, entry in self._entries().items():
                if entry.is_accepted and entry.result is None:
                    yield id, entry

    def _greeted(self, ready: SessionReady) -> None:
        self.agent = ready.agent_id
        self.resumed += ready.resumed
        if ready.session_id == self.session:
            return
        if self.session is not None:
            self._wrong(SESSIONS, f"{ready.session_id} took its place")
        self.session = ready.session_id
        self.sessions[self.session] = {}
        self._lines.clear()

    def _acked(self, ack: Ack) -> None:
        entry = self._entry(ack.id)
        if entry is None:
            self._wrong(ONCE, f"an ack of {ack.id}, which was never sent")
            return
        if ack.status == "rejected":
            if entry.is_accepted:
                self._wrong(ONCE, f"{ack.id} rejected {ack.code} after it was accepted")
            elif ack.code is not None and not ack.code.startswith("challenge_"):
                entry.ack = ack  # A stale challenge is asked for again, with the same id.
            return
        entry.acks += 1
        if entry.acks > entry.requests:
            self._wrong(ONCE, f"{entry.acks} acks of {ack.id}, sent {entry.requests} times")
        if entry.is_accepted and entry.ack is not None:
            if (entry.ack.seq, entry.ack.tick) != (ack.seq, ack.tick):
                self._wrong(ONCE, f"two acks of {ack.id} differ: {entry.ack} and {ack}")
            return
        if entry.ack is not None:
            self._wrong(ONCE, f"{ack.id} accepted after it was rejected {entry.ack.code}")
        entry.ack = ack
        self._line(ack.seq, "ack", ack.id)

    def _finished(self, result: Result) -> None:
        entry = self._entry(result.id)
        if entry is None:
            self._wrong(ONCE, f"a result of {result.id}, which was never sent")
            return
        entry.results += 1
        if entry.results > entry.requests:
            self._wrong(ONCE, f"{entry.results} results of {result.id}")
        if entry.result is not None:
            if entry.result != result:
                self._wrong(ONCE, f"two results of {result.id}: {entry.result} and {result}")
            return
        if not entry.is_accepted:
            self._wrong(ONCE, f"a result of {result.id} before its ack")
        entry.result = result
        self._line(result.seq, "result", result.id)
        self.ended(entry.at)

    def _line(self, seq: int | None, kind: str, id: CommandId) -> None:
        if seq != len(self._lines) + 1:
            self._wrong(SEQS, f"{kind} of {id} has seq {seq} after {len(self._lines)}")
        if seq is not None:
            self._lines[seq] = (kind, id)

    def _entries(self) -> dict[CommandId, Entry]:
        assert self.session is not None, "session_ready comes first"
        return self.sessions[self.session]

    def _entry(self, id: CommandId) -> Entry | None:
        return self._entries().get(id)

    def _wrong(self, promise: str, details: str) -> None:
        self.findings.add(promise, f"{self.name} {self.session}", details, self.now())
