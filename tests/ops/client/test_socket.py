from __future__ import annotations

import time
from contextlib import suppress
from functools import partial

import pytest
import trio
from trio_websocket import ConnectionClosed, serve_websocket
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection

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


async def test_a_ping_that_crosses_our_close_troubles_nobody() -> None:
    ping, close = b"\x89\x00", b"\x88\x02\x03\xe8"
    heard = b""

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal heard
        server = WSConnection(ConnectionType.SERVER)
        server.receive_data(await stream.receive_some())
        await stream.send_all(server.send(AcceptConnection()))
        heard = await stream.receive_some()
        await stream.send_all(ping)
        await trio.sleep(0.05)  # So that it is read by itself.
        with suppress(trio.BrokenResourceError):  # It may have gone by now.
            await stream.send_all(close)
            await stream.receive_some()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        with trio.fail_after(10):
            async with open_socket(f"http://127.0.0.1:{port}/", []):
                pass
        assert heard[0] == close[0], "our close"
        nursery.cancel_scope.cancel()
