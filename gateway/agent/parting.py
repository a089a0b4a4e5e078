"""The last moments of a session that is over: results that are still owed, then goodbye.

It decides nothing about the end. The binding is gone by now, so no message tells of these lines:
they are read where they are kept. Meanwhile the client is not heard any more.
"""

from __future__ import annotations

from collections.abc import Iterable

import trio

from common.limits import LINES_WAIT_SECONDS, PARTING_SECONDS_MAX
from common.refusals import CloseCode
from gateway.agent.actions import Action, FindLines
from gateway.agent.docket import Docket
from gateway.agent.lane import Lane
from gateway.agent.outbox import Outbox


async def part(
    lane: Lane,
    docket: Docket,
    outbox: Outbox,
    code: CloseCode,
    reason: str,
    actions: Iterable[Action] = (),
) -> None:
    """Close once every command that was offered is decided on and has ended, or soon.

    ``actions`` come first, and help with that.
    """
    with trio.move_on_after(PARTING_SECONDS_MAX):
        await lane.run(actions)
        while not docket.is_settled and outbox.ending is None:
            await trio.sleep(LINES_WAIT_SECONDS)
            await lane.run([FindLines()])
    outbox.end(code, reason)
