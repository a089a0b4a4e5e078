"""What the agent WebSocket needs from outside, and how long it waits for it.

Its deadlines are set here and nowhere else: what takes too long is InDoubt, as if the answer had
been lost.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

import attrs
import trio

from common.bus import Offer, Verdict
from common.errors import InDoubt, Trouble
from common.grid import ChunkId, GatewayId, SessionId
from common.limits import NONCE_BYTES, POSTGRES_SECONDS_MAX, REDIS_SECONDS_MAX
from common.settings import Settings
from common.traces import NO_SPANS, Spans
from gateway.moderation import Moderator
from gateway.ports import Accounts, Bus, Clock
from gateway.stream.feeds import Listener
from gateway.switchboard import SessionMessage
from gateway.topology import Routes

T = TypeVar("T")


class Courier(Protocol):
    """See ``gateway.courier``."""

    async def offer(self, offer: Offer) -> Verdict: ...

    def post(self, offer: Offer, told: Callable[[Verdict | Trouble], None]) -> None: ...


class Switchboard(Protocol):
    """See ``gateway.switchboard``."""

    round: Callable[[], AbstractContextManager[None]]

    def session(
        self, session: SessionId
    ) -> AbstractContextManager[trio.MemoryReceiveChannel[SessionMessage]]: ...

    def forward(
        self,
        session: SessionId,
        channel: trio.MemoryReceiveChannel[SessionMessage],
        hear: Callable[[SessionMessage], None],
    ) -> bool: ...


class Feeds(Protocol):
    """See ``gateway.stream.feeds``."""

    def listen(self, chunk: ChunkId, listener: Listener) -> None: ...

    def leave(self, chunk: ChunkId, listener: Listener) -> None: ...


def _draw() -> bytes:
    return secrets.token_bytes(NONCE_BYTES)


@attrs.frozen(eq=False)
class Outside:
    """``stop``: the gateway stops; ``draw`` returns NONCE_BYTES that nobody can guess."""

    bus: Bus
    accounts: Accounts
    clock: Clock
    courier: Courier
    switchboard: Switchboard
    feeds: Feeds
    routes: Routes
    settings: Settings
    gateway: GatewayId
    stop: trio.Event
    draw: Callable[[], bytes] = _draw
    spans: Spans = NO_SPANS
    moderator: Moderator = attrs.field(factory=Moderator)


async def ask_redis(call: Awaitable[T]) -> T:
    return await _bounded(call, REDIS_SECONDS_MAX, "Redis")


async def ask_postgres(call: Awaitable[T]) -> T:
    return await _bounded(call, POSTGRES_SECONDS_MAX, "PostgreSQL")


async def _bounded(call: Awaitable[T], seconds: float, whom: str) -> T:
    with trio.move_on_after(seconds):
        return await call
    raise InDoubt(f"{whom} did not answer within {seconds} s")
