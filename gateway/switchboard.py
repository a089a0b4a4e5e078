"""Hand what comes in from Redis to those it is for: sessions, and the feeds of chunks.

It decides nothing, answers nothing and keeps nothing. One task reads; ``session`` is how a
connection hears what is meant for its session, first through a channel, then at once (``forward``).
Order of publication is kept for each hearer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
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
from common.limits import AGENT_QUEUE_MAX, INBOUND_AT_ONCE
from gateway.ports import Bus

SessionMessage = (
    AckLine | ResultLine | Attached | AttachRefused | Replaced | SessionEnded | Restored
)
"""What a connection hears. Restored: lines may have been missed; ask ``Bus.lines_after``."""


Hear = Callable[[SessionMessage], None]
"""Must neither wait nor raise."""


class Chunks(Protocol):
    """Who hears of chunks; see ``gateway.stream.feeds``."""

    def hear(self, message: Delta | Shown | Restored) -> None: ...


@attrs.define(eq=False)
class _Hearer:
    sender: trio.MemorySendChannel[SessionMessage]
    receiver: trio.MemoryReceiveChannel[SessionMessage]
    hear: Hear | None = None
    """Once it is there, nothing goes through the channel any more."""


@attrs.define(eq=False)
class Switchboard:
    """The one reader of ``Bus.inbound``; ``run`` must be running for anybody to hear anything."""

    _bus: Bus
    _gateway: GatewayId
    _chunks: Chunks
    round: Callable[[], AbstractContextManager[None]] = attrs.field(default=nullcontext, init=False)
    """Around the handing on of all that came together."""
    _inbound: trio.MemoryReceiveChannel[Inbound] | None = attrs.field(default=None, init=False)
    _sessions: dict[SessionId, list[_Hearer]] = attrs.field(factory=dict, init=False)

    def __len__(self) -> int:
        """How many messages have come in and wait to be handed on."""
        return self._inbound.statistics().current_buffer_used if self._inbound is not None else 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read until cancelled; started once the subscription stands."""
        async with self._bus.inbound(self._gateway) as inbound:
            self._inbound = inbound
            task_status.started()
            while True:  # Ends by cancellation: it mends itself when it breaks.
                message = await inbound.receive()
                # What came together is handed on together: less to wake, less to write.
                with self.round(), suppress(trio.WouldBlock):
                    for _ in range(INBOUND_AT_ONCE):
                        self._dispatch(message)
                        message = inbound.receive_nowait()
                    self._dispatch(message)

    @contextmanager
    def session(self, session: SessionId) -> Iterator[trio.MemoryReceiveChannel[SessionMessage]]:
        """Hear what is meant for ``session``, in order, for as long as the block lasts.

        At most AGENT_QUEUE_MAX messages wait. Beyond that the channel ends once they are read
        (EndOfChannel): the connection is to be closed with 4008, and may resume. When a session
        is connected twice both hear everything; Replaced tells by number which one is meant.
        """
        sender, receiver = trio.open_memory_channel[SessionMessage](AGENT_QUEUE_MAX)
        hearer = _Hearer(sender, receiver)
        self._sessions.setdefault(session, []).append(hearer)
        try:
            yield receiver
        finally:
            self._forget(session, hearer)
            receiver.close()

    def forward(
        self,
        session: SessionId,
        channel: trio.MemoryReceiveChannel[SessionMessage],
        hear: Hear,
    ) -> bool:
        """Call ``hear`` with what waits in ``channel``, and from now on with everything at once.

        False when more was said than could wait: then something is missing.
        """
        for hearer in self._sessions.get(session, ()):
            if hearer.receiver is channel:
                hearer.hear = hear
        try:
            while True:
                hear(channel.receive_nowait())
        except trio.WouldBlock:
            return True
        except trio.EndOfChannel:
            return False

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
        for hearer in tuple(self._sessions.get(session, ())):
            if hearer.hear is not None:
                hearer.hear(message)
                continue
            try:
                hearer.sender.send_nowait(message)
            except trio.WouldBlock:
                self._forget(session, hearer)

    def _forget(self, session: SessionId, hearer: _Hearer) -> None:
        hearer.sender.close()
        hearers = self._sessions.get(session, [])
        if hearer in hearers:
            hearers.remove(hearer)
        if not hearers:
            self._sessions.pop(session, None)
