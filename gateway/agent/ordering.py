"""Bring the lines of one session into order: seq 1, 2, 3, ... each once.

Pure. Lines come twice (asked for again), late (the subscription was lost) and early (from another
shard). It finds nothing that is missing: it only says that something is.
"""

from __future__ import annotations

import attrs

from common.envelopes import SessionLine


@attrs.define
class Ordering:
    """``delivered`` is the seq of the last line handed on."""

    delivered: int = 0
    _held: dict[int, SessionLine] = attrs.field(factory=dict)

    @property
    def held(self) -> int:
        """How many lines wait for an earlier one; 0 when nothing is known to be missing."""
        return len(self._held)

    @property
    def exists(self) -> int:
        """The last seq of which we know that there is a line before those that wait."""
        return min(self._held, default=self.delivered + 1) - 1

    def take(self, line: SessionLine) -> list[SessionLine]:
        """Return the lines that can be handed on now, in order: none, ``line``, or more."""
        assert line.seq is not None, "only numbered lines are in order"
        if line.seq <= self.delivered:
            return []
        if line.seq == self.delivered + 1 and not self._held:  # As it should be.
            self.delivered = line.seq
            return [line]
        self._held[line.seq] = line
        ready = []
        while (following := self._held.pop(self.delivered + 1, None)) is not None:
            self.delivered += 1
            ready.append(following)
        return ready
