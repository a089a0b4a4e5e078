"""How long chunks stood still that came from another owner: last tick due there, to first here.

Only of those that were at work there and are here. Two clocks may be compared: a difference
between two machines' is part of what is measured.
"""

from __future__ import annotations

import attrs

from common.grid import ChunkId
from common.limits import PAUSES_MAX
from common.topology import Pauses
from shard import metrics
from shard.ports import Clock
from shard.routes import Routes


@attrs.define(eq=False)
class PauseMeter:
    _clock: Clock
    _routes: Routes
    _left: dict[ChunkId, int] = attrs.field(factory=dict, init=False)
    """When the last tick there was due, Unix ms."""
    _began: dict[ChunkId, int] = attrs.field(factory=dict, init=False)
    """When the first tick here was made."""
    _epoch: int = attrs.field(default=0, init=False)
    _last: list[float] = attrs.field(factory=list, init=False)
    """Of the chunks that came by the topology of ``_epoch``, ms."""

    def left(self, chunk: ChunkId, due_ms: int) -> None:
        """Its owner of before says so; it may tick here already."""
        _note(self._left, chunk, due_ms)
        self._match(chunk)

    def began(self, chunk: ChunkId) -> None:
        """It makes its first tick here now, and was at work when it was loaded."""
        _note(self._began, chunk, self._clock.now_ms())
        self._match(chunk)

    def _match(self, chunk: ChunkId) -> None:
        if chunk not in self._left or chunk not in self._began:
            return
        pause_ms = max(0, self._began.pop(chunk) - self._left.pop(chunk))
        metrics.PAUSE_SECONDS.observe(pause_ms / 1000)
        if self._epoch != self._routes.topology.epoch:
            self._epoch, self._last = self._routes.topology.epoch, []
        if len(self._last) < PAUSES_MAX:
            self._last.append(pause_ms)

    def summary(self) -> Pauses | None:
        """Return those of the last change that brought something."""
        ordered = sorted(self._last)
        if not ordered:
            return None
        p50, p99 = (ordered[len(ordered) * percent // 100] for percent in (50, 99))
        return Pauses(self._epoch, len(ordered), p50, p99, ordered[-1])


def _note(times: dict[ChunkId, int], chunk: ChunkId, ms: int) -> None:
    times[chunk] = ms
    if len(times) > PAUSES_MAX:
        del times[next(iter(times))]
