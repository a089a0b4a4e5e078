"""From the request for an agent WebSocket to the moment when it may be accepted, with its deadline.

It carries out ``admission`` and gives up when the client goes; it accepts nothing itself.
"""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import AsyncExitStack
from typing import TypeVar

import attrs
import structlog
import trio
from hypercorn.typing import ASGIReceiveCallable

from common.bus import Binding
from common.errors import Trouble
from common.limits import ADMISSION_SECONDS_MAX
from common.traces import Attribute, Span, is_sampled
from gateway.agent.admission import Admitted, Visitor, bind, enter, identify, released
from gateway.agent.knock import Knock
from gateway.agent.outside import Outside
from gateway.http.problems import Problem, unavailable
from gateway.switchboard import SessionMessage

_log = structlog.get_logger(__name__)

T = TypeVar("T")


@attrs.frozen(eq=False)
class Entrant:
    admitted: Admitted
    binding: Binding
    channel: trio.MemoryReceiveChannel[SessionMessage]


async def let_in(
    knock: Knock, receive: ASGIReceiveCallable, stack: AsyncExitStack, outside: Outside
) -> Entrant | Problem | None:
    """Return who came in; why it is refused instead; None if it went.

    What must be undone at the end of the connection is in ``stack`` then.
    """
    began_ns = outside.spans.now_ns()
    with outside.spans.within(knock.call.trace):
        done = await _let_in(knock, receive, stack, outside)
    if outside.spans.is_on and is_sampled(knock.call.trace):
        outside.spans.record(_span(knock, done, began_ns, outside.spans.now_ns()))
    return done


async def _let_in(
    knock: Knock, receive: ASGIReceiveCallable, stack: AsyncExitStack, outside: Outside
) -> Entrant | Problem | None:
    until = trio.current_time() + ADMISSION_SECONDS_MAX
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
    return Entrant(admitted, binding, channel) if isinstance(admitted, Admitted) else admitted


def _span(knock: Knock, done: Entrant | Problem | None, began_ns: int, ended_ns: int) -> Span:
    outcome = done.code if isinstance(done, Problem) else "admitted" if done else "gone"
    attributes: dict[str, Attribute] = {"http.route": "/v1/agent", "tessera.outcome": outcome}
    call = knock.call
    return Span("agent.admit", "server", began_ns, ended_ns, call.parent, call.trace, attributes)


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
