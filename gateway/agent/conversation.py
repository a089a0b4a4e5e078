"""One agent's open WebSocket: what is read, written and heard while it lasts, and how it ends.

It decides nothing about commands (``exchange``) and carries nothing out (``errands``). Three tasks:
one reads, one writes, one hears what is said to the session and does the chores. The sweep and the
feeds call it from outside, in the middle of something: there it never waits.
"""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime

import attrs
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable

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
    CLOSE_SECONDS_MAX,
    FRAME_BYTES_MAX,
    LINES_LOOK_SECONDS,
    LINES_WAIT_SECONDS,
    TICK_HZ,
)
from common.refusals import CloseCode
from gateway.agent.actions import Action, FindLines
from gateway.agent.admission import Admitted, attach_of, began_anew
from gateway.agent.errands import Errands
from gateway.agent.exchange import Exchange
from gateway.agent.follower import Follower
from gateway.agent.outbox import Outbox
from gateway.agent.outside import Outside, ask_postgres, ask_redis
from gateway.agent.parting import part
from gateway.agent.sitting import sitting_of
from gateway.agent.websocket import Websocket
from gateway.agent.whereabouts import Crossings
from gateway.metrics import AGENT_FRAMES
from gateway.switchboard import SessionMessage

PROTOCOL = 1

Chore = Callable[[], Awaitable[None]]


@attrs.define(eq=False)
class Conversation:
    """``run`` it once."""

    _admitted: Admitted
    binding: Binding
    _channel: trio.MemoryReceiveChannel[SessionMessage]
    _websocket: Websocket
    _crossings: Crossings
    _outside: Outside
    outbox: Outbox = attrs.field(factory=Outbox, init=False)
    _exchange: Exchange = attrs.field(init=False)
    _errands: Errands = attrs.field(init=False)
    _follower: Follower = attrs.field(init=False)
    _chores: deque[Chore] = attrs.field(factory=deque, init=False)
    _patience: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    """Around the wait for what is said to the session; ends when there is something to do."""
    _heard_at: float = attrs.field(default=-math.inf, init=False)
    _is_confirmed: bool = attrs.field(default=False, init=False)
    is_parting: bool = attrs.field(default=False, init=False)
    """The session is over: the client is not heard any more, only told how things ended."""

    def __attrs_post_init__(self) -> None:
        admitted, outside = self._admitted, self._outside
        sitting = sitting_of(admitted.session, outside.gateway, outside.settings)
        self._exchange = Exchange(
            sitting,
            admitted.docket,
            admitted.attached.chunk,
            outside.draw,
            outside.clock.now_ms() + admitted.cooldown_ms,
        )
        self._errands = Errands(self._exchange, self.outbox, outside, self.binding.connection)
        self._follower = Follower(
            self._exchange, self.outbox, outside.feeds, self._crossings, self._end_soon
        )

    async def run(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Talk until either side ends it."""
        try:
            async with trio.open_nursery() as nursery:
                self._websocket.watch(self._confirm)
                nursery.start_soon(self._write, send, nursery.cancel_scope)
                await self._greet()
                nursery.start_soon(self._websocket.ping)
                nursery.start_soon(self._listen)
                await self._read(receive)
                nursery.cancel_scope.cancel()
        finally:
            self._follower.stop()
            if self._confirm_resume in self._chores:
                await self._confirm_resume()  # It spoke, and went before we took note.

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
        for line in admitted.lines:
            await self.outbox.wait_room()
            await self._errands.run(exchange.replay(line, self._now_ms()))
        # Live news does not wait for room: it begins with all of it.
        await self.outbox.wait_room(AGENT_QUEUE_MAX)
        self._follower.start()

    # What the client says, and what it is told

    async def _read(self, receive: ASGIReceiveCallable) -> None:
        while (message := await receive())["type"] != "websocket.disconnect":
            # Once we are ending, what still comes is read and thrown away.
            if message["type"] == "websocket.receive" and not self._is_ending:
                AGENT_FRAMES.inc()
                self._confirm()
                await self._hear_frame(message.get("text"), message.get("bytes"))

    @property
    def _is_ending(self) -> bool:
        return self.is_parting or self.outbox.ending is not None

    async def _hear_frame(self, text: str | None, binary: bytes | None) -> None:
        if len(text.encode() if text is not None else binary or b"") > FRAME_BYTES_MAX:
            self.outbox.end(CloseCode.TOO_BIG, f"a frame has {FRAME_BYTES_MAX} bytes at most")
            return
        await self._errands.run(self._exchange.hear(text, self._now_ms()))
        self._patience.deadline = min(self._patience.deadline, self._due())

    async def _write(self, send: ASGISendCallable, conversation: trio.CancelScope) -> None:
        await self.outbox.write(send)
        await trio.sleep(CLOSE_SECONDS_MAX)  # Cut short when the client closes its side.
        await self._websocket.hang_up()
        conversation.cancel()

    def _confirm(self) -> None:
        """The client is there: from now on only its fresh resume token is good."""
        if not self._is_confirmed:
            self._is_confirmed = True
            self._do_soon(self._confirm_resume)

    async def _confirm_resume(self) -> None:
        admitted, accounts = self._admitted, self._outside.accounts
        with trio.CancelScope(shield=True):  # ask_postgres has a deadline.
            try:
                confirm = accounts.confirm_resume(admitted.session.session, admitted.fresh.hash)
                await ask_postgres(confirm)
            except Trouble:
                self._is_confirmed = False  # The next frame tries again; until then both are good.

    # What is said to the session

    async def _listen(self) -> None:
        self._heard_at = trio.current_time()
        while True:  # Ends with the conversation.
            message = None
            with trio.CancelScope(deadline=self._due()) as self._patience:
                try:
                    message = await self._channel.receive()
                except trio.EndOfChannel:
                    self.outbox.end(CloseCode.TOO_SLOW, "too much was said to the session at once")
                    return
            if message is None:
                await self._catch_up()
            else:
                self._heard_at = trio.current_time()
                await self._hear(message)

    def _due(self) -> float:
        """When there is something to do although nobody said anything, by trio's clock."""
        if self._chores:
            return -math.inf
        now, docket, due = trio.current_time(), self._exchange.docket, math.inf
        if docket.due_ms is not None:
            due = now + (docket.due_ms - self._now_ms()) / 1000
        if docket.held:
            due = min(due, now + LINES_WAIT_SECONDS)
        if docket.is_running:
            due = min(due, self._heard_at + LINES_LOOK_SECONDS)
        return due

    async def _catch_up(self) -> None:
        if self._chores:
            await self._chores.popleft()()
            return
        self._heard_at = trio.current_time()
        # Before anything is offered again, or given up: was it answered, and we were not told?
        docket = self._exchange.docket
        # A result may be on record in PostgreSQL only, once Redis has forgotten it.
        next_seq = docket.delivered + 1 if docket.is_running else 0
        await self._errands.run([FindLines(next_seq)])
        await self._errands.run(self._exchange.overdue(self._now_ms()))

    async def _hear(self, message: SessionMessage) -> None:
        match message:
            case AckLine() | ResultLine():
                if isinstance(message, ResultLine):
                    self._follower.hear_result(message)
                await self._errands.run(self._exchange.hear_line(message, self._now_ms()))
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
                await self._part(CloseCode.REPLACED, reason, self._exchange.superseded())
            case SessionEnded():
                await self._part(CloseCode.SESSION_ENDED, "the session was ended")
            case Restored():
                await self._look_after_silence()
            case Replaced() | AttachRefused():
                pass  # Meant for a connection before or after us; refusals are asked about again.

    async def _look_after_silence(self) -> None:
        """Lines and the news of our end may have been missed."""
        await self._errands.run([FindLines()])
        with contextlib.suppress(Trouble):
            accounts, session = self._outside.accounts, self._admitted.session.session
            latest = await ask_postgres(accounts.session(session))
            if latest is None or not latest.is_live(self._outside.clock.now()):
                await self._part(CloseCode.SESSION_ENDED, "the session was ended")

    async def _part(self, code: CloseCode, reason: str, actions: Iterable[Action] = ()) -> None:
        self.is_parting = True
        await part(self._errands, code, reason, actions)

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
