from __future__ import annotations

import random

import pytest
import trio
from hypercorn.typing import WebsocketSendEvent
from trio.testing import MockClock

from ops.simulate.socket import Socket

HELLO: WebsocketSendEvent = {"type": "websocket.send", "bytes": None, "text": "hello"}


async def an_open_socket(heard: list[str]) -> Socket:
    socket = Socket("websocket", heard.append, lambda: None, random.Random(1))
    await socket.send({"type": "websocket.accept", "subprotocol": None, "headers": []})
    assert socket.state == "open"
    return socket


async def test_now_and_then_others_run_before_what_is_written_is_out() -> None:
    heard: list[str] = []
    socket, task, waited = await an_open_socket(heard), trio.lowlevel.current_task(), 0
    for _ in range(300):
        before = task._schedule_points
        await socket.send(HELLO)
        waited += task._schedule_points > before
    assert len(heard) == 300
    assert 10 < waited < 90


async def test_a_write_of_who_was_cancelled_does_not_get_out() -> None:
    heard: list[str] = []
    socket = await an_open_socket(heard)
    for _ in range(30):
        with trio.CancelScope() as scope:
            scope.cancel()
            await socket.send(HELLO)
    assert heard == []


async def test_what_a_slow_client_is_sent_is_stuck_until_it_reads_again(
    autojump_clock: MockClock,
) -> None:
    heard: list[str] = []
    socket = await an_open_socket(heard)
    socket.slow_until = trio.current_time() + 5
    with trio.move_on_after(4):
        await socket.send(HELLO)
    assert heard == []
    await socket.send(HELLO)
    assert heard == ["hello"]
    assert trio.current_time() == pytest.approx(5)
