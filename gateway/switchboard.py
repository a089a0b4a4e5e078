"""Hand what comes in from Redis to those it is for: sessions, and the feeds of chunks.

It decides nothing, answers nothing and keeps nothing. One task reads; ``session`` is how a
connection hears what is meant for its session. Order of publication is kept for each hearer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import attrs
import trio

from common.bus import Delta, Inbound, Restored
from common.envelopes import (
    AckLine,
    Attached,
    AttachRefused,
    Replaced,
    ResultLine,
    SessionEnded,
    Shown,
)
from common.grid import GatewayId, SessionId
from common.limits import AGENT_QUEUE_MAX
from gateway.ports import Bus

SessionMessage = (
    AckLine | ResultLine | Attached | AttachRefused | Replaced | SessionEnded | Restored
)
"""What a connection hears. Restored: lines may have been missed; ask ``Bus.lines_after``."""


class Chunks(Protocol):
    """Who hears of chunks; see ``gateway.stream.feeds``."""

    def hear(self, message: Delta | Shown | Restored) -> None: ...


@attrs.define(eq=False)
class Switchboard:
    """The one reader of ``Bus.inbound``; ``run`` must be running for anybody to hear anything."""

    _bus: Bus
    _gateway: GatewayId
    _chunks: Chunks
    _sessions: dict[SessionId, list[trio.MemorySendChannel[SessionMessage]]] = attrs.field(
        factory=dict, init=False
    )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read until cancelled; started once the subscription stands."""
        async with self._bus.inbound(self._gateway) as inbound:
            task_status.started()
            async for message in inbound:  # Ends by cancellation: it mends itself when it breaks.
                self._dispatch(message)

    @contextmanager
    def session(self, session: SessionId) -> Iterator[trio.MemoryReceiveChannel[SessionMessage]]:
        """Hear what is meant for ``session``, in order, for as long as the block lasts.

        At most AGENT_QUEUE_MAX messages wait. Beyond that the channel ends once they are read
        (EndOfChannel): the connection is to be closed with 4008, and may resume. When a session
        is connected twice both hear everything; Replaced tells by number which one is meant.
        """
        sender, receiver = trio.open_memory_channel[SessionMessage](AGENT_QUEUE_MAX)
        self._sessions.setdefault(session, []).append(sender)
        try:
            yield receiver
        finally:
            self._forget(session, sender)
            receiver.close()

    def _dispatch(self, message: Inbound) -> None:
        match message:
            case Delta() | Shown():
                self._chunks.hear(message)
            case Restored():
                self._chunks.hear(message)
                for session in list(self._sessions):
                    self._tell(session, message)
            case _:
                self._tell(message.session, message)

    def _tell(self, session: SessionId, message: SessionMessage) -> None:
        for sender in list(self._sessions.get(session, ())):
            try:
                sender.send_nowait(message)
            except trio.WouldBlock:
                self._forget(session, sender)

    def _forget(self, session: SessionId, sender: trio.MemorySendChannel[SessionMessage]) -> None:
        sender.close()
        senders = self._sessions.get(session, [])
        if sender in senders:
            senders.remove(sender)
        if not senders:
            self._sessions.pop(session, None)
