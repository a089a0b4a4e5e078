"""Chunks that are no longer ours: each stops between two ticks, is saved, and is released.

A few at a time, so that the others go on ticking until it is their turn. One that has heard of
something it has not done yet makes one more tick. The release goes to the new owner only when all
that was said of the chunk is published and recorded, and its snapshot is saved; a release that is
lost with us costs the new owner its patience (``shard.awaited``), and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import trio

from common.bus import Forward
from common.envelopes import Released
from common.grid import ChunkId, Slot
from common.limits import HANDOVER_BATCH_MAX
from shard.chunks import Chunks
from shard.emission import Emission
from shard.inbox import Inbox
from shard.live import Live
from shard.metronome import BEAT_SECONDS, due_time
from shard.outbox import Outbox
from shard.ports import Clock
from shard.routes import Routes
from shard.snapshots import last_keeps


@attrs.define(eq=False)
class Handover:
    _chunks: Chunks
    _routes: Routes
    _inbox: Inbox
    _outbox: Outbox
    _clock: Clock
    has_heir: bool = attrs.field(default=False, init=False)
    """The slot is given back so that another takes it."""
    _settled: int = attrs.field(init=False)
    """The topology by which all that we have is ours: thousands are not looked at for nothing."""
    _parted: dict[ChunkId, None] = attrs.field(factory=dict, init=False)
    """Those whose release is yet to be sent."""
    _sent: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self._settled = self._routes.topology.epoch

    @property
    def leaving(self) -> int:
        """How many chunks are not handed over that should be."""
        if self._settled == self._routes.topology.epoch:
            return len(self._parted)
        return len(self._leaving()) + len(self._parted)

    async def run(self) -> None:
        """Hand over what each change takes from us, until cancelled."""
        epoch = self._routes.topology.epoch
        while True:
            await self._routes.wait_change(epoch)
            epoch = self._routes.topology.epoch
            while leaving := self._leaving():
                ready = [live for live in leaving if _is_ready(live)][:HANDOVER_BATCH_MAX]
                for live in ready:
                    self._part(live)
                if not ready:
                    await trio.sleep(BEAT_SECONDS)
                while self._parted:
                    await self._sent.wait()
            self._settled = epoch

    def _leaving(self) -> Sequence[Live]:
        """Those at work first: somebody waits for them."""
        leaving = [live for live in self._chunks if not self._routes.is_ours(live.id)]
        return sorted(leaving, key=lambda live: live.is_resting)

    def _part(self, live: Live) -> None:
        live.catch_up()
        due_ms = self._due_ms(live)
        self._chunks.part(live)
        self._parted[live.id] = None
        released = Released(live.id, due_ms)
        self._outbox.put(Emission(keeps=last_keeps(live), released=(released,)))
        self._inbox.release(live.id)  # It is passed on.

    def released(self, message: Released) -> None:
        """All that was said of it is remembered: its new owner may have it."""
        self._parted.pop(message.chunk, None)
        self._sent.set()
        self._sent = trio.Event()
        if self._routes.is_ours(message.chunk):
            self._inbox.tell(message)  # The topology has changed once more.
        else:
            forward = Forward(self._routes.slot_of(message.chunk), message)
            self._outbox.put(Emission(forwards=(forward,)))

    def leave_all(self) -> None:
        """The slot ends here: say to whoever has it next when what is at work ticked last."""
        if not self.has_heir:
            return  # By whenever somebody takes it, that would be no pause.
        slot: Slot = self._routes.slot
        told = [Released(live.id, due) for live in self._chunks if (due := self._due_ms(live))]
        if told:
            self._outbox.put(Emission(forwards=tuple(Forward(slot, one) for one in told)))

    def _due_ms(self, live: Live) -> int | None:
        """Return when its last tick was due, Unix ms; None of one that rests."""
        if live.is_resting:
            return None
        late = trio.current_time() - due_time(live.phase, live.due)
        return self._clock.now_ms() - round(late * 1000)


def _is_ready(live: Live) -> bool:
    return not live.is_committing and not live.waiting and not live.attaching
