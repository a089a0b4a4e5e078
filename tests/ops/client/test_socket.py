from __future__ import annotations

import time
from contextlib import suppress

import pytest
import trio
from trio_websocket import ConnectionClosed, serve_websocket

import ops.client.socket
from ops.client.socket import open_socket


async def _echo(request: object) -> None:
    socket = await request.accept()  # type: ignore[attr-defined]  # trio-websocket's handler type.
    try:
        while True:
            await socket.send_message(await socket.get_message())
    except Exception:  # noqa: BLE001  However the client leaves.
        return


async def test_a_cancelled_connection_hangs_up_and_does_not_hold_up_its_owner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody reads the answer to its close any more, so it does not wait for one."""
    monkeypatch.setattr(ops.client.socket, "CLOSE_SECONDS_MAX", 30.0)
    reasons: list[object] = []
    left = trio.Event()

    async def echo(request: object) -> None:
        socket = await request.accept()  # type: ignore[attr-defined]  # trio-websocket's handler type.
        with suppress(ConnectionClosed):
            while True:
                await socket.send_message(await socket.get_message())
        reasons.append(socket.closed.code)
        left.set()

    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, echo, "127.0.0.1", 0, None)
        url = f"http://127.0.0.1:{server.port}/"
        began = time.monotonic()
        with trio.move_on_after(0.2):
            async with open_socket(url, []) as socket:
                await socket.send_message("hi")
                assert await socket.get_message() == "hi"
                await trio.sleep_forever()
        assert time.monotonic() - began < 10
        with trio.fail_after(10):
            await left.wait()
        assert reasons == [1000]
        nursery.cancel_scope.cancel()


async def test_what_the_block_raises_leaves_it_as_it_was() -> None:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, _echo, "127.0.0.1", 0, None)
        with pytest.raises(LookupError, match="mine"):
            async with open_socket(f"http://127.0.0.1:{server.port}/", []):
                raise LookupError("mine")
        nursery.cancel_scope.cancel()
