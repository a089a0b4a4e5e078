"""A chunk that is ours and awake or resting: its value, and what waits for its next tick.

Whoever decides on an input does so for the next tick, so between that and the answer of the
journal the chunk must not tick: ``committing`` says so. A resting chunk has no task; the ticks
that passed meanwhile are counted when somebody looks at it.
"""

from __future__ import annotations

import attrs
import trio

from common.envelopes import Attach
from common.grid import AgentId, ChunkId, Epoch, GatewayId, SessionId, Tick
from shard.metronome import last_due, phase_of
from shard.world.idle import is_idle, skip_to
from shard.world.inputs import Input
from shard.world.state import Chunk


@attrs.define(eq=False)
class Live:
    state: Chunk
    epoch: Epoch
    waiting: list[Input] = attrs.field(factory=list)
    """Journaled for the next tick, in the order of the journal."""
    ordinal: int = 0
    """The next one free for the next tick, in the journal."""
    attaching: dict[tuple[AgentId, SessionId], dict[GatewayId, Attach]] = attrs.field(factory=dict)
    """Who wants to know how the Enters among ``waiting`` end."""
    due: int = attrs.field(init=False)
    """The number of its last turn, at which ``state`` was reached: see ``shard.metronome``."""
    phase: int = attrs.field(init=False)
    is_resting: bool = True
    is_lost: bool = False
    is_new: bool = False
    """Whether it was at work when it was loaded, and has not ticked here."""
    kept_due: int = 0
    """``due`` at the time of the last snapshot."""
    kept_tick: Tick = attrs.field(init=False)
    """What needs no snapshot any more: its tick, or a time when nothing but time had passed."""
    stored_tick: Tick = attrs.field(init=False)
    """Of the last snapshot, or from which on only time has passed since it was loaded."""
    is_keeping: bool = False
    touched_at: float = attrs.field(factory=trio.current_time)
    """When somebody last asked for it, by trio's clock."""
    watched_at: float | None = None
    """When a gateway last said that it watches it, as far as we asked."""
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _committed: trio.Event | None = None

    def __attrs_post_init__(self) -> None:
        self.phase = phase_of(self.id)
        self.due = last_due(self.phase)
        self.kept_tick = self.stored_tick = self.state.tick
        self.kept_due = self.due

    @property
    def id(self) -> ChunkId:
        return self.state.id

    @property
    def next_tick(self) -> Tick:
        return Tick(self.state.tick + 1)

    @property
    def has_changed(self) -> bool:
        """Whether there is something that the last snapshot does not have."""
        return self.state.tick != self.kept_tick

    @property
    def may_rest(self) -> bool:
        return not self.waiting and self._committed is None and is_idle(self.state)

    @property
    def is_deserted(self) -> bool:
        """Whether nobody is in it, or about to be."""
        if self.state.agents or not self.is_resting:
            return False
        return not self.waiting and self._committed is None and not self.attaching

    def idle_seconds(self, now: float) -> float:
        """Return for how long nobody has asked for it or, as far as we know, watched it."""
        return now - max(self.touched_at, self.watched_at or self.touched_at)

    def catch_up(self) -> None:
        """Count the ticks in which it rested."""
        if self.is_resting and self._committed is None and not self.waiting:
            due = max(self.due, last_due(self.phase))
            changed = self.has_changed
            self.state = skip_to(self.state, Tick(self.state.tick + due - self.due))
            self.due = due
            if not changed:
                self.kept_tick = self.state.tick  # Time alone is not worth one, while it is ours.

    # The gate between deciding and ticking

    @property
    def is_committing(self) -> bool:
        return self._committed is not None

    def begin_commit(self) -> None:
        assert self._committed is None, f"two commits at a time for {self.id}"
        self._committed = trio.Event()

    def end_commit(self) -> None:
        assert self._committed is not None, f"no commit under way for {self.id}"
        self._committed.set()
        self._committed = None

    async def wait_committed(self) -> None:
        """Wait until nothing is being committed: time stops rather than lies."""
        while self._committed is not None:
            await self._committed.wait()
