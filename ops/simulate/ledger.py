"""What happened, as a digest, and the first promise that was broken.

It judges nothing itself. The digest is over everything that anybody was told, so two runs with
the same digest were the same run. What is secret by nature (tokens) stays out of it: those are
drawn by the operating system.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque

import attrs
import trio

EVENTS_KEPT = 100  # The last ones before a violation: what somebody who looks for its cause reads.

LINES_KEPT = 5_000
LINES_HASHED = 200  # Together: less for each than one by one.


@attrs.define(eq=False)
class Ledger:
    violation: str | None = attrs.field(default=None, init=False)
    recent: deque[str] = attrs.field(factory=lambda: deque(maxlen=EVENTS_KEPT), init=False)
    transcript: deque[str] = attrs.field(factory=lambda: deque(maxlen=LINES_KEPT), init=False)
    """Also what was told to whom."""
    counts: Counter[str] = attrs.field(factory=Counter, init=False)
    """How often what happened: a run in which nothing did proves nothing."""
    broken: trio.Event = attrs.field(factory=trio.Event, init=False)
    _hash: hashlib.blake2b = attrs.field(
        factory=lambda: hashlib.blake2b(digest_size=16), init=False
    )
    _unhashed: list[str] = attrs.field(factory=list, init=False)

    def event(self, text: str) -> None:
        """Something that happens now and then, and is worth reading."""
        self.recent.append(self._note(text))

    def told(self, whom: str, data: str) -> None:
        """Something that happens all the time."""
        self._note(f"{whom} {data}")

    def _note(self, text: str) -> str:
        line = f"{trio.current_time():9.3f} {text}"
        self.transcript.append(line)
        self._unhashed.append(line)
        if len(self._unhashed) >= LINES_HASHED:
            self._digest_lines()
        return line

    def _digest_lines(self) -> None:
        self._hash.update("".join(self._unhashed).encode())
        self._unhashed.clear()

    def count(self, what: str) -> None:
        self.counts[what] += 1

    def violate(self, text: str) -> None:
        """A promise is broken: the run is over. The first one counts, others follow from it."""
        if self.violation is None:
            self.event(f"VIOLATION {text}")
            self.violation = text
            self.broken.set()

    @property
    def digest(self) -> str:
        self._digest_lines()
        return self._hash.hexdigest()
