"""Where agents went that left a chunk of ours: a bounded memory, to send their messages after them.

Pure. It may forget (PostgreSQL knows too), and it dies with the process. What it does say is
right at the time: an agent that comes back to any chunk of ours is taken out.
"""

from __future__ import annotations

import attrs

from common.grid import AgentId, ChunkId
from common.limits import TRAILS_MAX


@attrs.define(eq=False)
class Trails:
    _last: dict[AgentId, ChunkId] = attrs.field(factory=dict)
    """In order of leaving, so that the oldest is forgotten first."""

    def left(self, agent: AgentId, target: ChunkId) -> None:
        self._last.pop(agent, None)
        self._last[agent] = target
        if len(self._last) > TRAILS_MAX:
            del self._last[next(iter(self._last))]

    def came(self, agent: AgentId) -> None:
        self._last.pop(agent, None)

    def get(self, agent: AgentId) -> ChunkId | None:
        return self._last.get(agent)
