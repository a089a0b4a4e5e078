from __future__ import annotations

import gc
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise

import httpx
import pytest
import trio
import trio.testing

from common.grid import ChunkId
from ops.client import spectate
from ops.client.spectator import EVENTS_MAX, RETRY_SECONDS

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b'data: {"type":"resync","reason":"slow"}\n\n'


async def flood(stream: trio.SocketStream) -> None:
    """More events than are taken, in one piece; then silence."""
    await stream.receive_some()
    events = EVENT * (2 * EVENTS_MAX)
    await stream.send_all(HEAD + b"%x\r\n%s\r\n" % (len(events), events))
    await trio.sleep_forever()


async def test_who_leaves_with_events_untaken_leaves_nothing_open() -> None:
    with warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always", ResourceWarning)
        async with trio.open_nursery() as nursery:
            serve = partial(trio.serve_tcp, flood, 0, host="127.0.0.1")
            (listener,) = await nursery.start(serve)
            url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
            with trio.fail_after(10):
                async with spectate(url, [ChunkId("0:0")]) as events:
                    while events.statistics().current_buffer_used < EVENTS_MAX:
                        await trio.testing.wait_all_tasks_blocked(0.01)
            gc.collect()
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert [str(warning.message) for warning in left] == []


async def test_who_were_cut_off_together_do_not_come_back_together(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(trio.current_time())
        raise httpx.ConnectError("nobody listens", request=request)

    @asynccontextmanager
    async def open_nowhere(url: str) -> AsyncIterator[httpx.AsyncClient]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(refuse), base_url=url) as http:
            yield http

    monkeypatch.setattr("ops.client.spectator.open_http", open_nowhere)
    async with spectate("http://gateway", [ChunkId("0:0")]):
        await trio.sleep(200)
    pauses = [after - before for before, after in pairwise(asked)]
    assert 0.5 * RETRY_SECONDS <= min(pauses) < 0.8 * RETRY_SECONDS
    assert 1.2 * RETRY_SECONDS < max(pauses) <= 1.5 * RETRY_SECONDS
