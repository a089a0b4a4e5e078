"""Departures that are not settled yet: asked again, and called off when nobody answers.

It decides nothing about chunks: every outcome becomes a message to our own intake, where it is
journaled like any other input. Whoever writes to the transfer first has decided, so calling
off is safe whatever the target does at the same time. It sleeps while nobody is under way.
"""

from __future__ import annotations

import attrs
import trio

from common.bus import Forward
from common.envelopes import ArrivalAsked, CrossingAnswered, LoadAsked
from common.errors import Trouble
from common.grid import AgentId, Cell, ChunkId, Direction, TransferId
from common.journal import TransferState
from common.limits import ASK_AGAIN_SECONDS, CROSSING_SECONDS, POSTGRES_SECONDS_MAX
from shard.chunks import Chunks
from shard.emission import Ask, Emission
from shard.inbox import Inbox
from shard.live import Live
from shard.outbox import Outbox
from shard.patience import bounded
from shard.ports import Journal
from shard.routes import Routes
from shard.world.state import Agent


@attrs.define(eq=False)
class _Departure:
    transfer: TransferId
    agent: AgentId
    chunk: ChunkId
    ask: Ask | None
    """None when we only know that it stands frozen: it may have been asked or not."""
    since: float
    next: float


@attrs.define(eq=False)
class Border:
    _inbox: Inbox
    _outbox: Outbox
    _routes: Routes
    _journal: Journal
    _departures: dict[TransferId, _Departure] = attrs.field(factory=dict, init=False)
    _added: trio.Event = attrs.field(factory=trio.Event, init=False)

    def depart(self, agent: AgentId, ask: Ask) -> None:
        """``agent`` asks at the border; ``ask`` is on its way already."""
        message = ask.message
        assert isinstance(message, ArrivalAsked), "a departure is a question"
        now = trio.current_time()
        self._add(_Departure(message.transfer, agent, ask.chunk, ask, now, now + ASK_AGAIN_SECONDS))

    def found(self, transfer: TransferId, agent: AgentId, chunk: ChunkId) -> None:
        """``agent`` stood frozen in a chunk that we took: learn what became of it, or call it off.

        Its question may have been asked or not: the answer, if one comes, changes nothing then.
        """
        now = trio.current_time()
        self._add(_Departure(transfer, agent, chunk, None, now - CROSSING_SECONDS, now))

    def _add(self, departure: _Departure) -> None:
        self._departures[departure.transfer] = departure
        self._added.set()

    def send(self, ask: Ask, chunks: Chunks) -> None:
        """Send ``ask`` to the shard that it is for; in memory when that is this one."""
        origin = chunks.peek(ask.chunk)
        if origin is None or origin.epoch != ask.epoch:
            return  # It was not ours any more. Whoever has it now asks or answers by itself.
        slot = self._routes.slot_of(ask.message.chunk)
        if slot == self._routes.slot:
            self._inbox.tell(ask.message)
        else:
            self._outbox.put(Emission(forwards=(Forward(slot, ask.message),)))

    async def run(self, chunks: Chunks) -> None:
        """See to what is overdue, until cancelled."""
        while True:
            if not self._departures:
                self._added = trio.Event()
                await self._added.wait()
            await trio.sleep(ASK_AGAIN_SECONDS / 4)
            now = trio.current_time()
            for departure in tuple(self._departures.values()):
                if _frozen(departure, chunks) is None:
                    del self._departures[departure.transfer]
                elif departure.next <= now:
                    departure.next = now + ASK_AGAIN_SECONDS
                    await self._see_to(departure, chunks)

    async def _see_to(self, departure: _Departure, chunks: Chunks) -> None:
        overdue = trio.current_time() - departure.since >= CROSSING_SECONDS
        state = await self._call_off(departure) if overdue else None
        if state in ("entered", "cancelled"):
            await self._answer(departure, entered=state == "entered")
        elif departure.ask is not None:
            self._outbox.put(Emission(asks=(departure.ask,)))
        elif state == "admitted":
            # The target says at its tick how it ended, if anybody has loaded it.
            self._outbox.put(Emission(asks=_wake(departure, chunks)))

    async def _call_off(self, departure: _Departure) -> TransferState | None:
        """Return what is decided, which may be the calling off; None when that is not known yet."""
        try:
            return await bounded(
                POSTGRES_SECONDS_MAX, lambda: self._journal.cancel_transfer(departure.transfer)
            )
        except Trouble:
            return None

    async def _answer(self, departure: _Departure, *, entered: bool) -> None:
        try:
            target = await self._target(departure)
        except Trouble:
            return
        self._inbox.tell(
            CrossingAnswered(
                transfer=departure.transfer,
                agent=departure.agent,
                chunk=departure.chunk,
                target=target,
                entered=entered,
            )
        )

    async def _target(self, departure: _Departure) -> ChunkId:
        """Return where the agent is by now: it is on record there before it is ``entered``."""
        if departure.ask is not None:
            return departure.ask.message.chunk
        seen = await bounded(
            POSTGRES_SECONDS_MAX, lambda: self._journal.whereabouts(departure.agent)
        )
        return seen or departure.chunk


def _wake(departure: _Departure, chunks: Chunks) -> tuple[Ask, ...]:
    """Return what has the target of ``departure`` loaded, and in a corner another chunk, too."""
    found = _frozen(departure, chunks)
    if found is None:
        return ()
    live, agent = found
    here = Cell(agent.x, agent.y)
    beside = {here.step(direction).chunk for direction in Direction} - {live.id}
    return tuple(Ask(live.id, live.epoch, LoadAsked(chunk)) for chunk in sorted(beside))


def _frozen(departure: _Departure, chunks: Chunks) -> tuple[Live, Agent] | None:
    """Return who stands where because of ``departure``; None when that is settled, or not ours."""
    live = chunks.peek(departure.chunk)
    agent = live.state.agents.get(departure.agent) if live is not None else None
    if live is None or agent is None or agent.transfer != departure.transfer:
        return None
    return live, agent
