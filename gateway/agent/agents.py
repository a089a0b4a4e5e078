"""The agent WebSocket, ``GET /v1/agent``: the endpoint, and the tasks that all connections share.

Plain ASGI (see ops/decisions/agents.md). It says who may come in and counts them; what is said
then is ``conversation``'s. ``run`` must be running: it keeps sessions present, sweeps, and says
goodbye to everybody when the gateway stops.
"""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import TypeVar

import attrs
import structlog
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, WebsocketScope

from common.bus import Binding
from common.errors import Trouble
from common.frames import Goodbye
from common.grid import SessionId
from common.limits import (
    ADMISSION_SECONDS_MAX,
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
from gateway.address import client_address
from gateway.agent.admission import (
    SUPERSEDED,
    Admitted,
    Visitor,
    bind,
    enter,
    identify,
    released,
)
from gateway.agent.conversation import Conversation
from gateway.agent.direct import Desk, Direct
from gateway.agent.knock import Knock, knock_of
from gateway.agent.outside import Outside, ask_redis
from gateway.agent.websocket import converse, websocket_behind
from gateway.agent.whereabouts import Crossings
from gateway.connection import connection_of
from gateway.endings import end_each
from gateway.http.problems import Problem, unavailable
from gateway.lookout import CAN_LOOK_OUT
from gateway.metrics import AGENT_CLOSES, AGENT_REFUSALS, AGENT_TALLIES, AGENTS
from gateway.refuse import refuse

_log = structlog.get_logger(__name__)

T = TypeVar("T")

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
        await end_each(tuple(self._conversations), _restart, AGENTS_ENDED_SECONDS)
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
            await trio.sleep(SWEEP_SECONDS)
            for tally in AGENT_TALLIES:
                tally.settle()
            now = self._outside.clock.now()
            for conversation in tuple(self._conversations):
                conversation.sweep(now)

    async def __call__(
        self, scope: WebsocketScope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        await receive()  # websocket.connect
        knock = knock_of(scope)
        problem = self._turned_away()
        if problem is None:
            async with AsyncExitStack() as stack:
                stack.enter_context(self._counted())
                problem = await self._serve(knock, scope, receive, send, stack)
        if problem is not None:
            AGENT_REFUSALS.labels(problem.code).inc()
            await refuse(scope, receive, send, problem, knock.trace_id)

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
        outside, until = self._outside, trio.current_time() + ADMISSION_SECONDS_MAX
        visitor = await _unless_gone(identify(knock, outside), receive, until)
        if not isinstance(visitor, Visitor):
            return visitor
        session = visitor.session.session
        # Before we are bound: what is said to the session from then on must not be missed.
        channel = stack.enter_context(outside.switchboard.session(session))
        binding = await _unless_gone(bind(visitor, outside), receive, until)
        if not isinstance(binding, Binding):
            return binding
        await stack.enter_async_context(released(session, binding, outside))
        entering = enter(knock.resume, visitor, binding, channel, outside)
        admitted = await _unless_gone(entering, receive, until)
        if admitted is SUPERSEDED:
            await _supersede(knock, send)
            return None
        if not isinstance(admitted, Admitted):
            return admitted
        if outside.stop.is_set():
            return _STOPPING
        conversation = Conversation(admitted, binding, channel, self._crossings, outside)
        if self._take_over(conversation, session, knock, scope, stack):
            return None
        websocket = websocket_behind(scope)
        websocket.silence()
        await send({"type": "websocket.accept", "subprotocol": knock.subprotocol, "headers": []})
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
        taken = connection.take_over_websocket(knock.subprotocol)
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
            address=client_address(scope, self._outside.settings.trusted_proxies),
            trace_id=None,
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
            _log.info("agent gone", session=session, code=code, seconds=seconds)


def _restart(conversation: Conversation) -> None:
    conversation.outbox.end(CloseCode.RESTARTING, "the gateway stops; come back at once")


async def _supersede(knock: Knock, send: ASGISendCallable) -> None:
    """Two came at once: the loser is let in, and told what an older connection is told."""
    reason = "another connection took the session over"
    goodbye = Goodbye(int(CloseCode.REPLACED), reason, CloseCode.REPLACED.resume)
    await send({"type": "websocket.accept", "subprotocol": knock.subprotocol, "headers": []})
    await send({"type": "websocket.send", "bytes": None, "text": encode(goodbye).decode()})
    await send({"type": "websocket.close", "code": int(CloseCode.REPLACED), "reason": reason})
    AGENT_CLOSES.labels(str(int(CloseCode.REPLACED))).inc()


async def _unless_gone(
    act: Awaitable[T], receive: ASGIReceiveCallable, until: float
) -> T | Problem | None:
    """Return what ``act`` does, in time; None when the client goes meanwhile."""
    done: T | Problem | None = None
    gone = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_gone, receive, gone, nursery.cancel_scope)
        try:
            with trio.fail_at(until):
                done = await act
        except (Trouble, trio.TooSlowError) as trouble:
            _log.warning("an agent could not come in", error=str(trouble))
            done = unavailable()
        nursery.cancel_scope.cancel()
    # It is told once: who goes in the moment in which the rest is done must not be waited for.
    return None if gone.is_set() else done


async def _until_gone(
    receive: ASGIReceiveCallable, gone: trio.Event, waiting: trio.CancelScope
) -> None:
    await receive()  # Before the upgrade there is nothing else that a client can do.
    gone.set()
    waiting.cancel()
