"""A gateway's public port on a real socket, over feeds in memory, and clients without manners."""

from __future__ import annotations

import base64
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import attrs
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope

from common.settings import Settings
from gateway.asgi import Gateway
from gateway.listener import make_config, serve
from gateway.stream.spectate import Spectators
from tests.gateway.stream.scripted import Scene, a_scene


@attrs.frozen
class Port:
    number: int
    scene: Scene
    spectators: Spectators
    stop: trio.Event
    over: trio.Event
    """Set when the spectators' part of the gateway has ended."""
    cancel: Callable[[], None]
    """The spectators' part alone, as when something else falls."""
    agents: list[str]
    """What the agent endpoint, which only listens, went through."""
    clients: list[Client] = attrs.field(factory=list)

    async def client(self, receive_buffer: int | None = None) -> Client:
        sock = trio.socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client = Client(trio.SocketStream(sock))
        self.clients.append(client)
        await sock.connect(("127.0.0.1", self.number))
        return client

    async def ask(self, head: str, body: bytes = b"") -> Client:
        client = await self.client()
        await client.send(head, body)
        return client

    async def watch(self, query: str = "chunks=0:0", **options: Any) -> Client:
        client = await self.client(**options)
        await client.send(f"GET /v1/spectate?{query} HTTP/1.1")
        return client

    async def websocket(
        self, path: str, *more: str, receive_buffer: int | None = None, upgrade: bool = True
    ) -> Client:
        client = await self.client(receive_buffer)
        if not upgrade:
            await client.send(f"GET {path} HTTP/1.1")
            return client
        key = base64.b64encode(os.urandom(16)).decode()
        await client.send(
            f"GET {path} HTTP/1.1", more=(
                "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                f"Sec-WebSocket-Key: {key}", *more,
            ),
        )  # fmt: skip
        return client


@attrs.define(eq=False)
class Client:
    stream: trio.SocketStream
    got: bytes = b""

    async def send(self, head: str, body: bytes = b"", more: tuple[str, ...] = ()) -> None:
        lines = "\r\n".join([head, "Host: tessera.test", *more, "", ""])
        await self.stream.send_all(lines.encode() + body)

    async def until(self, text: str | bytes) -> bytes:
        """Read until ``text`` has come, and return everything so far."""
        wanted = text if isinstance(text, bytes) else text.encode()
        while wanted not in self.got:
            data = await self.stream.receive_some()
            assert data, f"the server closed before {wanted!r}: {self.got[-2000:]!r}"
            self.got += data
        return self.got

    async def end(self) -> bytes:
        """Read until the server closes, and return everything."""
        async for data in self.stream:
            self.got += data
        return self.got

    async def is_reset(self) -> bool:
        try:
            await self.end()
        except trio.BrokenResourceError:
            return True
        return False

    @property
    def status(self) -> int:
        return int(self.got.split(b" ", 2)[1])

    @property
    def problem(self) -> dict[str, Any]:
        problem: dict[str, Any] = json.loads(self.got.partition(b"\r\n\r\n")[2])
        return problem


def a_frame(data: bytes, opcode: int = 1, *, first: int = 0x80) -> bytes:
    """A masked frame of RFC 6455; the mask is zeros, which leaves ``data`` as it is."""
    if len(data) < 126:
        length = bytes([0x80 | len(data)])
    elif len(data) < 2**16:
        length = bytes([0x80 | 126]) + len(data).to_bytes(2, "big")
    else:
        length = bytes([0x80 | 127]) + len(data).to_bytes(8, "big")
    return bytes([first | opcode]) + length + bytes(4) + data


@asynccontextmanager
async def a_port(
    settings: Settings | None = None, tls_cert: str | None = None
) -> AsyncIterator[Port]:
    stop, over, agents = trio.Event(), trio.Event(), list[str]()

    async def listen_only(scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        agents.append((await receive())["type"])
        await trio.sleep(0.1)  # As one that has to ask somebody first.
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        try:
            while True:
                message = await receive()
                agents.append(message["type"])
                if message["type"] == "websocket.disconnect":
                    return
        except trio.Cancelled:
            agents.append("cancelled")
            raise

    async with a_scene() as scene, trio.open_nursery() as nursery:
        spectators = Spectators(scene.feeds, scene.bus, settings or Settings(), stop)
        gateway = Gateway(_calls, listen_only, spectators.events, spectators.frames, _no_record)

        life = trio.CancelScope()

        async def look_after_spectators() -> None:
            with life:
                await spectators.run()
            over.set()

        nursery.start_soon(look_after_spectators)
        config = make_config(tls_cert)
        start = partial(serve, gateway, config, host="127.0.0.1", port=0, stop=stop)
        number: int = await nursery.start(start)
        port = Port(number, scene, spectators, stop, over, life.cancel, agents)
        try:
            yield port
        finally:
            for client in port.clients:
                client.stream.socket.close()
            stop.set()


async def _no_record(*_: object) -> None:
    """Of no operator is anything asked here."""


async def _calls(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Answers at once, whatever is asked; like quart-trio, it is cancelled once all is said."""
    assert scope["type"] == "http"
    if scope["path"] == "/bug":
        raise ZeroDivisionError
    if scope["path"] == "/stubborn":
        await trio.sleep_forever()
    body = b"x" * 500_000 + b"the end" if scope["path"] == "/long" else b"ok"
    headers = [(b"content-length", str(len(body)).encode())]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})
        nursery.cancel_scope.cancel()


async def _until_gone(receive: ASGIReceiveCallable, call: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    call.cancel()


async def swallow(send: Callable[..., Awaitable[None]], *words: object) -> None:
    """Send to somebody who may have had enough."""
    with suppress(trio.BrokenResourceError):
        await send(*words)


async def nothing_lives() -> None:
    """Wait until every task of a connection has ended; bounded by the tests' own deadline."""
    with trio.fail_after(60):
        while any("Connection" in task.name or "_handle" in task.name for task in _tasks()):
            await trio.sleep(0.1)


def _tasks() -> list[trio.lowlevel.Task]:
    root = trio.lowlevel.current_root_task()
    found, open_ = [], [root] if root else []
    while open_:
        task = open_.pop()
        found.append(task)
        for nursery in task.child_nurseries:
            open_.extend(nursery.child_tasks)
    return found
