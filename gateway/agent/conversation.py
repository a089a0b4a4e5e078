"""One agent's open WebSocket: what is said and heard while it lasts, and how it ends.

It decides nothing about commands (``exchange``), carries nothing out (``errands``), and knows no
socket: who reads calls ``hear_frame``, who writes takes from the ``outbox``. Frames, messages, the
sweep and the feeds come in the middle of somebody's task: there it never waits and never raises.
Its own task does what takes time, and what becomes due.
"""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from functools import partial
from typing import NoReturn

import attrs
import trio

from common.bus import Binding, Offer, Restored
from common.envelopes import (
    AckLine,
    Attached,
    AttachRefused,
    Detach,
    Replaced,
    ResultLine,
    SessionEnded,
)
from common.errors import Trouble
from common.frames import SessionReady
from common.limits import (
    AGENT_QUEUE_MAX,
    FRAMES_WAITING_MAX,
    LINES_LOOK_SECONDS,
    LINES_WAIT_SECONDS,
    REOFFER_SECONDS,
    TICK_HZ,
)
from common.refusals import CloseCode
from gateway.agent.actions import Action, FindLines
from gateway.agent.admission import Admitted, attach_of, began_anew
from gateway.agent.errands import Errands
from gateway.agent.exchange import Exchange
from gateway.agent.follower import Follower
from gateway.agent.lane import Lane
from gateway.agent.outbox import Outbox
from gateway.agent.outside import Outside, ask_postgres, ask_redis
from gateway.agent.parting import part
from gateway.agent.sitting import sitting_of
from gateway.agent.way import Way, way_of
from gateway.agent.whereabouts import Crossings
from gateway.metrics import DROPPED, FRAMES_TALLY
from gateway.switchboard import SessionMessage

PROTOCOL = 1

Chore = Callable[[], Awaitable[None]]


@attrs.define(eq=False)
class Conversation:
    """``run`` it once. ``outbox.changed``, ``tend`` and ``rested`` are for who has the socket."""

    _admitted: Admitted
    binding: Binding
    _channel: trio.MemoryReceiveChannel[SessionMessage]
    _crossings: Crossings
    _outside: Outside
    _parent: str = ""
    """The ``traceparent`` that the client came with, or ""."""
    trace_id: str = ""
    """Of the connection."""
    outbox: Outbox = attrs.field(factory=Outbox, init=False)
    tend: Callable[[], float] = attrs.field(default=lambda: math.inf, init=False)
    """Called, and must not wait, now and then; returns when to call it again, by trio's clock."""
    rested: Callable[[], None] = attrs.field(default=lambda: None, init=False)
    """Called, and must not wait, when there may be room again for what the client says."""
    _exchange: Exchange = attrs.field(init=False)
    _errands: Errands = attrs.field(init=False)
    _way: Way | None = attrs.field(init=False)
    _follower: Follower = attrs.field(init=False)
    _frames: Lane = attrs.field(init=False)
    """What the client says, and what follows from it."""
    _lines: Lane = attrs.field(init=False)
    """What is said to the session, and what is looked for when nothing is."""
    _life: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _nursery: trio.Nursery | None = attrs.field(default=None, init=False)
    _chores: deque[Chore] = attrs.field(factory=deque, init=False)
    _patience: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    """Around the wait for something to do."""
    _tend_at: float = attrs.field(default=math.inf, init=False)
    _heard_ms: int = attrs.field(default=0, init=False)
    """When something was said to the session, or asked for it."""
    _wakes_soon: bool = attrs.field(default=False, init=False)
    """Whether it looks round within REOFFER_SECONDS anyway."""
    _is_held: bool = attrs.field(default=False, init=False)
    _held_at: float = attrs.field(default=-math.inf, init=False)
    """When lines that are missing were noticed, or looked for last."""
    _is_confirmed: bool = attrs.field(default=False, init=False)
    is_parting: bool = attrs.field(default=False, init=False)
    """The session is over: the client is not heard any more, only told how things ended."""

    def __attrs_post_init__(self) -> None:
        admitted, outside = self._admitted, self._outside
        sampling = outside.spans.sampling
        sitting = sitting_of(
            admitted.session, outside.gateway, outside.settings, self._parent, sampling
        )
        self._way = way_of(sitting, outside.spans)
        self._exchange = Exchange(
            sitting,
            admitted.docket,
            admitted.attached.chunk,
            outside.draw,
            outside.clock.now_ms() + admitted.cooldown_ms,
            outside.moderator,
        )
        self._errands = Errands(
            self._exchange, self.outbox, outside, self.binding.connection, self._start, self._way
        )
        self._follower = Follower(
            self._exchange, self.outbox, outside.feeds, self._crossings, self._end_soon
        )
        self._frames = Lane(self._errands, self._frames_rested, self._fail)
        self._lines = Lane(self._errands, self._lines_rested, self._fail)

    async def run(self) -> None:
        """Talk until it is left. A bug that it met is raised here."""
        try:
            with self._life:
                async with trio.open_nursery() as self._nursery:
                    session = self._admitted.session.session
                    if not self._outside.switchboard.forward(session, self._channel, self._hear):
                        self._overflow()
                    await self._greet()
                    self._frames.open()
                    self._lines.open()
                    await self._tend()
        finally:
            self._frames.close()
            self._lines.close()
            self._follower.stop()
            if self._confirm_resume in self._chores:
                await self._confirm_resume()  # It spoke, and went before we took note.

    def leave(self) -> None:
        """The connection is over."""
        self._life.cancel()

    def _start(self, task: Callable[[], Awaitable[None]]) -> None:
        assert self._nursery is not None, "errands are run while the conversation is"
        self._nursery.start_soon(task)

    def _fail(self, error: Exception) -> None:
        self._do_soon(partial(_raise, error))

    def _now_ms(self) -> int:
        return self._outside.clock.now_ms()

    async def _greet(self) -> None:
        """First what was missed, in order, as fast as the client takes it; then the chunk."""
        admitted, exchange = self._admitted, self._exchange
        self._errands.send(
            SessionReady(
                PROTOCOL,
                admitted.session.session,
                admitted.session.agent,
                admitted.fresh.text,
                admitted.resume is not None,
                TICK_HZ,
                admitted.attached.chunk,
                admitted.attached.position,
                exchange.sitting.limits,
                exchange.offer_challenge(self._now_ms()),
            )
        )
        greeting = Lane(self._errands, lambda: None, self._fail)
        greeting.open()
        for line in admitted.lines:
            await self.outbox.wait_room()
            if self._way is not None:
                self._way.heard(line)
            await greeting.run(exchange.replay(line, self._now_ms()))
        # Live news does not wait for room: it begins with all of it.
        await self.outbox.wait_room(AGENT_QUEUE_MAX)
        self._follower.start()

    # What the client says, and what it is told

    @property
    def _is_ending(self) -> bool:
        return self.is_parting or self.outbox.ending is not None

    @property
    def has_room(self) -> bool:
        """Whether to read on: a client that says more than can be dealt with has to wait."""
        return self._frames.waiting < FRAMES_WAITING_MAX

    async def wait_dealt_with(self) -> None:
        """Return once everything that was heard is dealt with."""
        await self._frames.wait_idle()

    def hear_frame(self, text: str | None) -> None:
        """Take a frame; None stands for a binary one."""
        if not self._is_ending:  # Else what still comes is thrown away.
            FRAMES_TALLY.count += 1
            self.confirm()
            self._frames.put(lambda: self._exchange.hear(text, self._now_ms()))

    def confirm(self) -> None:
        """The client is there: from now on only its fresh resume token is good."""
        if not (self._is_confirmed or self._is_ending):
            self._is_confirmed = True
            self._do_soon(self._confirm_resume)

    async def _confirm_resume(self) -> None:
        accounts, session = self._outside.accounts, self._admitted.session.session
        fresh = self._admitted.fresh.hash
        with trio.CancelScope(shield=True):  # ask_postgres has a deadline.
            try:
                if not await ask_postgres(accounts.confirm_resume(session, fresh)):
                    # A client was heard that we took the session from, or that took it from us. As
                    # an offer ours is good, and does no harm to the other one.
                    await ask_postgres(accounts.offer_resume(session, None, fresh))
            except Trouble:
                self._is_confirmed = False  # The next frame tries again; until then both are good.

    # What is said to the session

    def _hear(self, message: SessionMessage) -> None:
        if self._lines.waiting >= AGENT_QUEUE_MAX:
            self._overflow()
        else:
            self._lines.put(lambda: self._take(message))

    def _overflow(self) -> None:
        DROPPED.labels("agent_lines").inc()
        self.outbox.end(CloseCode.TOO_SLOW, "too much was said to the session at once")

    def _take(self, message: SessionMessage) -> Iterable[Action]:
        now_ms = self._heard_ms = self._now_ms()
        match message:
            case AckLine() | ResultLine():
                if self._way is not None:
                    self._way.heard(message)
                if isinstance(message, ResultLine):
                    self._follower.hear_result(message)
                return self._exchange.hear_line(message, now_ms)
            case Attached() if began_anew(message, self._exchange.docket.delivered):
                self._end_soon()
            case Attached():
                self._follower.hear_attached(message)
            case Replaced() if message.connection == self.binding.connection:
                self.outbox.end(CloseCode.REPLACED, "another connection took the session over")
            case SessionEnded() if self._is_ending:
                pass
            case SessionEnded(replaced=True):
                reason = "a newer session of the agent was opened"
                self._part_soon(CloseCode.REPLACED, reason, self._exchange.superseded())
            case SessionEnded():
                self._part_soon(CloseCode.SESSION_ENDED, "the session was ended")
            case Restored():
                self._do_soon(self._look_after_silence)
            case Replaced() | AttachRefused():
                pass  # Meant for a connection before or after us; refusals are asked about again.
        return ()

    # What becomes due

    async def _tend(self) -> NoReturn:
        self._heard_ms = self._now_ms()
        while True:  # Ends with the conversation.
            if self._tend_at <= trio.current_time():
                self._tend_at = self.tend()
            self._wakes_soon = False
            with trio.CancelScope(deadline=self._due()) as self._patience:
                await trio.sleep_forever()
            # Much that was due when the wait began has been settled meanwhile.
            if self._chores:
                await self._chores.popleft()()
            elif self._lines_due() <= trio.current_time():
                await self._catch_up()

    def _due(self) -> float:
        """When there is something to do although nobody says anything, by trio's clock."""
        return -math.inf if self._chores else min(self._tend_at, self._lines_due())

    def _lines_due(self) -> float:
        docket, now, now_ms, due = (
            self._exchange.docket,
            trio.current_time(),
            self._now_ms(),
            math.inf,
        )
        if docket.due_ms is not None:
            due = now + (docket.due_ms - now_ms) / 1000
        if docket.held:
            due = min(due, self._held_at + LINES_WAIT_SECONDS)
        if docket.is_running:
            due = min(due, now + (self._heard_ms - now_ms) / 1000 + LINES_LOOK_SECONDS)
        return due

    def tend_soon(self) -> None:
        """Have ``tend`` called by this conversation's task, at once."""
        self._tend_at = -math.inf
        self._patience.deadline = -math.inf

    def _frames_rested(self) -> None:
        """What was offered just now is due after a while, if nobody is heard of it."""
        if not self._wakes_soon and self._exchange.docket.pending:
            self._wakes_soon = True
            self._wake_at(trio.current_time() + REOFFER_SECONDS)
        self.rested()

    def _lines_rested(self) -> None:
        """Lines that are missing are looked for again soon. (What runs was offered: see above.)"""
        is_held = self._exchange.docket.held > 0
        if is_held and not self._is_held:
            self._held_at = trio.current_time()
            self._wake_at(self._held_at + LINES_WAIT_SECONDS)
        self._is_held = is_held

    def _wake_at(self, due: float) -> None:
        if due < self._patience.deadline:
            self._patience.deadline = due

    async def _catch_up(self) -> None:
        self._heard_ms, self._held_at = self._now_ms(), trio.current_time()
        # Before anything is offered again, or given up: was it answered, and we were not told?
        docket = self._exchange.docket
        # A result may be on record in PostgreSQL only, once Redis has forgotten it.
        next_seq = docket.delivered + 1 if docket.is_running else 0
        await self._lines.run([FindLines(next_seq)])
        await self._lines.run(self._exchange.overdue(self._now_ms()))

    async def _look_after_silence(self) -> None:
        """Lines and the news of our end may have been missed."""
        await self._lines.run([FindLines()])
        with contextlib.suppress(Trouble):
            accounts, session = self._outside.accounts, self._admitted.session.session
            latest = await ask_postgres(accounts.session(session))
            if latest is None or not latest.is_live(self._outside.clock.now()):
                await self._part(CloseCode.SESSION_ENDED, "the session was ended")

    async def _part(self, code: CloseCode, reason: str, actions: Iterable[Action] = ()) -> None:
        self.is_parting = True
        await part(self._lines, self._exchange.docket, self.outbox, code, reason, actions)

    def _part_soon(self, code: CloseCode, reason: str, actions: Iterable[Action] = ()) -> None:
        self.is_parting = True
        self._do_soon(partial(self._part, code, reason, actions))

    # What is done from time to time

    def sweep(self, now: datetime) -> None:
        """Look after what no message tells of."""
        if self._is_ending:
            return
        if now >= self._admitted.session.expires_at:
            self._end_soon()
        elif self._follower.look():
            self._do_soon(self._ask_where)

    def look_again(self) -> None:
        """Redis had lost the binding: for a while nothing that was said may have reached us."""
        self._do_soon(self._look_after_silence)

    def _do_soon(self, chore: Chore) -> None:
        if chore not in self._chores:
            self._chores.append(chore)
            self._patience.deadline = -math.inf

    def _end_soon(self) -> None:
        self._do_soon(self._end_session)

    async def _ask_where(self) -> None:
        with contextlib.suppress(Trouble):
            chunk = self._exchange.chunk
            attach = attach_of(self._admitted.session, self._admitted.account, self._outside)
            message = attrs.evolve(attach, chunk=chunk)
            slot = self._outside.routes.slot(chunk)
            await ask_redis(self._outside.courier.offer(Offer(slot=slot, message=message)))

    async def _end_session(self) -> None:
        """The session is over, and it is we who noticed: tell everybody, the client last."""
        if self._is_ending:
            return
        self.is_parting = True
        session, outside = self._admitted.session, self._outside
        chunk = self._exchange.chunk
        with contextlib.suppress(Trouble):
            await ask_postgres(outside.accounts.end_session(session.session, outside.clock.now()))
            message = Detach(session.session, session.agent, chunk)
            offer = Offer(slot=outside.routes.slot(chunk), message=message)
            await ask_redis(outside.courier.offer(offer))
        await self._part(CloseCode.SESSION_ENDED, "the session is over")


async def _raise(error: Exception) -> NoReturn:
    raise error
