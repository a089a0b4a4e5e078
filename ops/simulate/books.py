"""What each session was told, and what it may be told next.

The protocol's section on ``seq``: 1, 2, 3, ... each once; what is told again is told the same;
an accepted command has one result, and a refused one has none. It compares what clients hear
with what shards publish, too: a replay says the same again.
"""

from __future__ import annotations

import attrs

from common.frames import Ack, Answer, CommandRequest, Result
from common.grid import CommandId, SessionId
from ops.simulate.ledger import Ledger

Line = tuple[str, CommandId, int, str | None]
"""Kind, command, tick, and why it failed."""


@attrs.define
class Book:
    """One session's."""

    lines: dict[int, Line] = attrs.field(factory=dict)
    """By seq, as the client heard them."""
    acked: dict[CommandId, int] = attrs.field(factory=dict)
    ended: dict[CommandId, int] = attrs.field(factory=dict)
    refused: set[CommandId] = attrs.field(factory=set)
    """Since the client last sent them."""
    asked: set[CommandId] = attrs.field(factory=set)
    """Sent over the connection of now: what is known of those may be told once more."""

    @property
    def last_seq(self) -> int:
        return len(self.lines)


@attrs.define(eq=False)
class Books:
    _ledger: Ledger
    books: dict[SessionId, Book] = attrs.field(factory=dict, init=False)

    def of(self, session: SessionId) -> Book:
        return self.books.setdefault(session, Book())

    def begin(self, session: SessionId) -> None:
        """A connection begins: what was told before it is told again only if it is asked for."""
        self.of(session).asked.clear()

    def send(self, session: SessionId, frame: CommandRequest | Answer) -> None:
        """A client may use an id again that was refused."""
        book = self.of(session)
        book.refused.discard(frame.id)
        book.asked.add(frame.id)

    def hear(self, session: SessionId, frame: Ack | Result) -> None:
        book = self.of(session)
        match frame:
            case Ack(seq=None):
                self._refused(session, book, frame)
            case Ack(seq=seq, tick=tick):
                assert seq is not None
                if frame.id in book.refused:
                    self._violate(session, f"{frame.id} was refused, and then accepted")
                self._line(session, book, seq, ("ack", frame.id, tick or 0, None), book.acked)
            case Result(seq=seq, tick=tick, reason=reason):
                if frame.id not in book.acked:
                    self._violate(session, f"a result of {frame.id} before its ack")
                self._line(session, book, seq, ("result", frame.id, tick, reason), book.ended)

    def _refused(self, session: SessionId, book: Book, ack: Ack) -> None:
        self._ledger.count(f"refused {ack.code}")
        if ack.id in book.acked:
            self._violate(session, f"{ack.id} was accepted, and then {ack.code}")
        book.refused.add(ack.id)

    def _line(
        self, session: SessionId, book: Book, seq: int, line: Line, of: dict[CommandId, int]
    ) -> None:
        _, id, _, reason = line
        if seq > book.last_seq + 1:
            self._violate(session, f"seq {seq} after {book.last_seq}")
        elif seq <= book.last_seq and book.lines[seq] != line:
            self._violate(session, f"seq {seq} was {book.lines[seq]} and is now {line}")
        elif seq <= book.last_seq and id not in book.asked:
            self._violate(session, f"seq {seq} once more, and nobody asked")
        elif of.setdefault(id, seq) != seq:
            self._violate(session, f"{line} at {of[id]} and at {seq}")
        elif seq > book.last_seq:
            book.lines[seq] = line
            self._ledger.count(f"{line[0]} {reason or 'done'}")

    def _violate(self, session: SessionId, text: str) -> None:
        self._ledger.violate(f"{session} was told {text}")
