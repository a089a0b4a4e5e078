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

    def event(self, text: str) -> None:
        """Something that happens now and then, and is worth reading."""
        line = f"{trio.current_time():9.3f} {text}"
        self.recent.append(line)
        self.transcript.append(line)
        self._hash.update(line.encode())

    def told(self, whom: str, data: str) -> None:
        """Something that happens all the time."""
        line = f"{trio.current_time():9.3f} {whom} {data}"
        self.transcript.append(line)
        self._hash.update(line.encode())

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
        return self._hash.hexdigest()
