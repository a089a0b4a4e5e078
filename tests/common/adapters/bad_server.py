"""A server that speaks just enough of Redis to misbehave."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import trio


class Server:
    """Speaks just enough of Redis to misbehave: one answer to each command, in order.

    b"" hangs up; None never answers, nor does it once all answers are given. What a client says
    of itself is not counted.
    """

    def __init__(self, answers: list[bytes | None]) -> None:
        self.commands: list[list[bytes]] = []
        self._answers = iter(answers)
        self._streams: list[trio.SocketStream] = []

    async def __aenter__(self) -> Server:
        self._nursery_manager = trio.open_nursery()
        self._nursery = await self._nursery_manager.__aenter__()
        serve = partial(trio.serve_tcp, self._serve, 0, host="127.0.0.1")
        (listener,) = await self._nursery.start(serve)
        self.url = f"redis://127.0.0.1:{listener.socket.getsockname()[1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        self._nursery.cancel_scope.cancel()
        await self._nursery_manager.__aexit__(None, None, None)

    def hang_up(self) -> None:
        for stream in self._streams:
            stream.socket.shutdown(trio.socket.SHUT_RDWR)

    async def _serve(self, stream: trio.SocketStream) -> None:
        self._streams.append(stream)
        waiting = b""
        async for data in stream:
            *lines, waiting = (waiting + data).split(b"\r\n")
            for command in commands_in(lines):
                if not await self._answer(stream, command):
                    return

    async def _answer(self, stream: trio.SocketStream, command: list[bytes]) -> bool:
        if command[0] == b"CLIENT":
            await stream.send_all(b"+OK\r\n")
            return True
        self.commands.append(command)
        answer = next(self._answers, None)
        if answer is None:
            await trio.sleep_forever()
        await stream.send_all(answer or b"")
        return answer != b""


def commands_in(lines: list[bytes]) -> Iterator[list[bytes]]:
    """Arrays of short words, a line each and its length before; these tests send whole ones."""
    while lines:
        count = int(lines[0][1:])
        yield lines[2 : 2 * count + 1 : 2]
        lines = lines[2 * count + 1 :]
