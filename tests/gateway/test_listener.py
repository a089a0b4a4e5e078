"""What Hypercorn is told for the public port, where a test of its own is the only witness."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import trio
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGISendCallable,
    ConnectionState,
    Scope,
)
from hypercorn.utils import wrap_app
from trio.testing import MockClock

from common.settings import Settings
from gateway.listener import make_config
from gateway.stream.spectate import Spectators
from tests.gateway.stream.scripted import a_scene, soon

HEARTBEAT_SECONDS_MAX = 15.0  # The protocol's.
UPGRADE = (
    b"GET /v1/spectate/ws?chunks=0:0 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
PING = b"\x89\x00"


async def test_a_silent_fallback_hears_of_us_at_least_every_15_seconds(
    autojump_clock: MockClock,
) -> None:
    written: list[tuple[float, bytes]] = []

    async def send(event: Event) -> None:
        if isinstance(event, RawData):
            written.append((trio.current_time(), event.data))

    async with a_scene() as scene, trio.open_nursery() as nursery:
        spectators = Spectators(scene.feeds, scene.bus, Settings(), trio.Event())
        nursery.start_soon(spectators.run)

        async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            assert scope["type"] == "websocket"
            await spectators.frames(scope, receive, send)

        async with TaskGroup() as tasks:
            protocol = H11Protocol(
                wrap_app(cast("ASGIFramework", app), 0, "asgi"), make_config(), WorkerContext(None),
                tasks, ConnectionState({}), False, ("192.0.2.1", 1), ("192.0.2.2", 2), send,
            )  # fmt: skip
            await protocol.handle(RawData(UPGRADE))
            await soon()
            begun = len(written)
            await trio.sleep(120)
            heard = [at for at, data in written[begun:] if data == PING]
            assert heard == [at for at, _ in written[begun:]], "nothing happens in its chunk"
            moments = [written[begun - 1][0], *heard, trio.current_time()]
            silences = [after - before for before, after in pairwise(moments)]
            assert max(silences) <= HEARTBEAT_SECONDS_MAX
            await protocol.handle(Closed())
        nursery.cancel_scope.cancel()
