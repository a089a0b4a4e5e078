"""The agent WebSocket, ``GET /v1/agent``: the endpoint, and the tasks that all connections share.

Plain ASGI (see ops/decisions/agents.md). It says who may come in and counts them; what is said
then is ``conversation``'s. ``run`` must be running: it keeps sessions present, sweeps, and says
goodbye to everybody when the gateway stops.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial

import attrs
import structlog
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, WebsocketScope

from common.errors import Trouble
from common.frames import Goodbye
from common.grid import SessionId
from common.limits import (
    AGENTS_ENDED_SECONDS,
    CLOSE_SECONDS_MAX,
    GRACE_SECONDS,
    PRESENCE_BEAT_SECONDS,
    RETRY_AFTER_MS,
    SWEEP_SECONDS,
)
from common.refusals import CloseCode
from common.wire import encode
from gateway import access_log
from gateway.agent.admission import SUPERSEDED
from gateway.agent.conversation import Conversation
from gateway.agent.direct import Desk, Direct
from gateway.agent.entrance import Entrant, let_in
from gateway.agent.knock import Knock, knock_of
from gateway.agent.outside import Outside, ask_redis
from gateway.agent.websocket import converse, websocket_behind
from gateway.agent.whereabouts import Crossings
from gateway.connection import connection_of
from gateway.endings import end_each
from gateway.http.problems import Problem
from gateway.lookout import CAN_LOOK_OUT
from gateway.metrics import (
    AGENT_CLOSES,
    AGENT_REFUSALS,
    AGENT_RESUMES,
    AGENT_TALLIES,
    AGENTS,
    LATENESS_SECONDS,
    QUEUE,
)
from gateway.refuse import refuse

_log = structlog.get_logger(__name__)

_FULL = Problem("unavailable", "This gateway serves no more agents now.", 5 * RETRY_AFTER_MS)
_STOPPING = Problem("unavailable", "This gateway is stopping; ask again.", RETRY_AFTER_MS)


@attrs.define(eq=False)
class Agents:
    """Call it with a WebSocket's scope. ``count`` are the connections that are open or opening."""

    _outside: Outside
    count: int = attrs.field(default=0, init=False)
    _desk: Desk | None = attrs.field(init=False)
    _house: trio.Nursery | None = attrs.field(default=None, init=False)
    """Where conversations live that have left Hypercorn."""
    _conversations: dict[Conversation, SessionId] = attrs.field(factory=dict, init=False)
    _emptied: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set when the last conversation is over, once the gateway stops."""
    _crossings: Crossings = attrs.field(factory=Crossings, init=False)

    def __attrs_post_init__(self) -> None:
        self._desk = Desk() if CAN_LOOK_OUT else None
        if self._desk is not None:
            self._outside.switchboard.round = self._desk.gathering

    async def run(self) -> None:
        """Tend all connections until the gateway stops and they have said goodbye."""
        async with trio.open_nursery() as house:
            if self._desk is not None:
                house.start_soon(self._desk.run)
            self._house = house
            await self._look_after_all()
            with trio.move_on_after(GRACE_SECONDS):
                await self._say_goodbye()
                if self._desk is not None:
                    await self._desk.lookout.wait_idle()
            house.cancel_scope.cancel()

    async def _look_after_all(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_present)
            nursery.start_soon(self._sweep)
            await self._outside.stop.wait()
            nursery.cancel_scope.cancel()

    async def _say_goodbye(self) -> None:
        self._emptied = trio.Event()
        if not self._conversations:
            return
        await end_each(self._conversations, _restart, AGENTS_ENDED_SECONDS)
        for latecomer in self._conversations:
            _restart(latecomer)
        with trio.move_on_after(CLOSE_SECONDS_MAX):
            await self._emptied.wait()

    async def _keep_present(self) -> None:
        while True:
            await trio.sleep(PRESENCE_BEAT_SECONDS)
            try:
                outside, present = self._outside, self._present()
                lost = set(await ask_redis(outside.bus.refresh(outside.gateway, present)))
            except Trouble as trouble:
                # Presence outlives many beats; a Redis away for longer grants a reprieve itself.
                _log.warning("presence was not refreshed", error=str(trouble))
            else:
                for conversation, session in self._conversations.items():
                    if session in lost:
                        conversation.look_again()

    def _present(self) -> list[tuple[SessionId, int]]:
        return [
            (session, conversation.binding.connection)
            for conversation, session in self._conversations.items()
            if not conversation.is_parting
        ]

    async def _sweep(self) -> None:
        while True:
            due = trio.current_time() + SWEEP_SECONDS
            await trio.sleep_until(due)
            LATENESS_SECONDS.observe(trio.current_time() - due)
            for tally in AGENT_TALLIES:
                tally.settle()
            waiting = sum(len(conversation.outbox) for conversation in self._conversations)
            QUEUE.labels("agent_frames").set(waiting)
            now = self._outside.clock.now()
            for conversation in tuple(self._conversations):
                conversation.sweep(now)

    async def __call__(
        self, scope: WebsocketScope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        await receive()  # websocket.connect
        knock = knock_of(scope, self._outside.spans.sampling)
        access_log.note_trace(scope, knock.call.trace_id)
        problem = self._turned_away()
        if problem is None:
            async with AsyncExitStack() as stack:
                stack.enter_context(self._counted())
                problem = await self._serve(knock, scope, receive, send, stack)
        if problem is not None:
            AGENT_REFUSALS.labels(problem.code).inc()
            await refuse(scope, receive, send, problem, knock.call.trace_id)

    def _turned_away(self) -> Problem | None:
        if self._outside.stop.is_set():
            return _STOPPING
        return _FULL if 0 < self._outside.settings.agents_max <= self.count else None

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.count += 1
        try:
            with AGENTS.track_inprogress():
                yield
        finally:
            self.count -= 1

    async def _serve(
        self,
        knock: Knock,
        scope: WebsocketScope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        stack: AsyncExitStack,
    ) -> Problem | None:
        """Serve one client to the end; return why it is refused instead. None also if it went.

        None as well when its conversation goes on elsewhere, with all that was in ``stack``.
        """
        outside = self._outside
        entrant = await let_in(knock, receive, stack, outside)
        if entrant is SUPERSEDED:
            await _supersede(knock, send)
            return None
        if not isinstance(entrant, Entrant):
            return entrant
        if outside.stop.is_set():
            return _STOPPING
        session = entrant.admitted.session.session
        if entrant.admitted.resume is not None:
            AGENT_RESUMES.inc()
        conversation = Conversation(
            entrant.admitted,
            entrant.binding,
            entrant.channel,
            self._crossings,
            outside,
            knock.call.parent,
            knock.call.trace_id,
        )
        if self._take_over(conversation, session, knock, scope, stack):
            return None
        websocket = websocket_behind(scope)
        websocket.silence()
        await _accept(knock, send)
        if not websocket.is_closed:
            with self._listed(conversation, session):
                await converse(conversation, websocket, receive, send)
        return None

    def _take_over(
        self,
        conversation: Conversation,
        session: SessionId,
        knock: Knock,
        scope: WebsocketScope,
        stack: AsyncExitStack,
    ) -> bool:
        """Whether ``conversation`` goes on without Hypercorn; then return without waiting."""
        connection = connection_of(scope)
        if connection is None or self._desk is None or self._house is None:
            return False
        taken = connection.take_over_websocket(knock.subprotocol, _answer_headers(knock))
        if taken is None:
            return False
        sock, head = taken
        direct = Direct(sock, self._desk, conversation, head)
        note_end = partial(
            access_log.note,
            "WEBSOCKET",
            scope["path"],
            status=101,
            began=trio.current_time(),
            trace_id=knock.call.trace_id,
        )
        stack.callback(note_end)
        self._house.start_soon(self._converse, conversation, session, direct, stack.pop_all())
        return True

    async def _converse(
        self,
        conversation: Conversation,
        session: SessionId,
        direct: Direct,
        stack: AsyncExitStack,
    ) -> None:
        async with stack:
            try:
                direct.start()
                with self._listed(conversation, session):
                    await conversation.run()
                direct.end(failed=False)
            except Exception:  # noqa: BLE001 - a bug that one conversation hits ends that one.
                # As text: with an exception a terminal is shown all that its frames knew.
                _log.error("a conversation failed", session=session, bug=traceback.format_exc())
                direct.end(failed=True)
            finally:
                direct.abort()

    @contextmanager
    def _listed(self, conversation: Conversation, session: SessionId) -> Iterator[None]:
        self._conversations[conversation] = session
        began = trio.current_time()
        try:
            yield
        finally:
            del self._conversations[conversation]
            if not self._conversations:
                self._emptied.set()
            ending = conversation.outbox.ending
            code = str(int(ending.code)) if ending else "lost"
            AGENT_CLOSES.labels(code).inc()
            seconds = round(trio.current_time() - began, 1)
            _log.info(
                "agent gone",
                session=session,
                code=code,
                seconds=seconds,
                trace_id=conversation.trace_id,
            )


def _answer_headers(knock: Knock) -> list[tuple[bytes, bytes]]:
    return [(b"x-trace-id", knock.call.trace_id.encode())]


async def _accept(knock: Knock, send: ASGISendCallable) -> None:
    headers, subprotocol = _answer_headers(knock), knock.subprotocol
    await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers})


def _restart(conversation: Conversation) -> None:
    conversation.outbox.end(CloseCode.RESTARTING, "the gateway stops; come back at once")


async def _supersede(knock: Knock, send: ASGISendCallable) -> None:
    """Two came at once: the loser is let in, and told what an older connection is told."""
    reason = "another connection took the session over"
    goodbye = Goodbye(int(CloseCode.REPLACED), reason, CloseCode.REPLACED.resume)
    await _accept(knock, send)
    await send({"type": "websocket.send", "bytes": None, "text": encode(goodbye).decode()})
    await send({"type": "websocket.close", "code": int(CloseCode.REPLACED), "reason": reason})
    AGENT_CLOSES.labels(str(int(CloseCode.REPLACED))).inc()
