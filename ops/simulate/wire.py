"""A connection that left Hypercorn, without a socket: what the fan-out writes, a client hears.

The rest is production code: only what a kernel would do is done here. A client that is slow, or
whose buffer happens to be full, takes a part or nothing; one that has gone is noticed by the
gateway's own task, so not while that process is stopped.
"""

from __future__ import annotations

import random

import attrs
import trio
from hypercorn.config import Config
from hypercorn.typing import HTTPScope
from typing_extensions import Buffer

from common.limits import STILL_SECONDS_MAX
from gateway.plain import PlainAnswer, PlainConnection
from ops.event_stream import Body
from ops.simulate.ledger import Ledger
from ops.simulate.socket import Socket

FULL_RATE = 0.01  # Of the writes: the buffer has no room for all of it.
FULL_SECONDS_MAX = 2.0

STATE = "ops.simulate.socket"
"""Under this name a scope's state has the client's end, if it may leave Hypercorn."""


@attrs.define(eq=False)
class Wires:
    """``gateway.takeover.Takeover`` of one simulated gateway."""

    _dice: random.Random
    _ledger: Ledger
    _gone: list[Wire] = attrs.field(factory=list, init=False)
    _stirred: trio.Event = attrs.field(factory=trio.Event, init=False)

    def take(self, scope: HTTPScope) -> PlainAnswer | None:
        socket = scope["state"].get(STATE)
        if not isinstance(socket, Socket) or socket.is_hung_up:
            return None
        self._ledger.count("plain streams")
        return PlainAnswer(Wire(socket, self, self._dice), Config())

    def went(self, wire: Wire) -> None:
        self._gone.append(wire)
        self._stirred.set()

    async def run(self) -> None:
        while True:
            await self._stirred.wait()
            self._stirred = trio.Event()
            gone, self._gone = self._gone, []
            for wire in gone:
                wire.notice()

    async def wait_idle(self) -> None:
        await trio.lowlevel.checkpoint()


class Wire(PlainConnection):
    def __init__(self, socket: Socket, wires: Wires, dice: random.Random) -> None:
        self._socket, self._wires, self._dice = socket, wires, dice
        self._full_until = 0.0
        self._body = Body()
        self.is_open = True
        self.send = self._write
        socket.be_taken(lambda: wires.went(self))

    def notice(self) -> None:
        if self.is_open:
            self._lost()

    def _write(self, buffer: Buffer) -> int:
        data, now = bytes(buffer), trio.current_time()
        if not self.is_open or self._socket.is_hung_up:
            raise BrokenPipeError
        if now < max(self._full_until, self._socket.slow_until):
            raise BlockingIOError
        if self._dice.random() < FULL_RATE:
            self._full_until = now + self._dice.uniform(0, FULL_SECONDS_MAX)
            data = data[: self._dice.randrange(len(data))]
            if not data:
                raise BlockingIOError
        self._socket.hear_piece(self._body.read(data))
        return len(data)

    async def _wait_room(self) -> None:
        until = max(self._full_until, self._socket.slow_until)
        with trio.fail_after(STILL_SECONDS_MAX):
            await trio.sleep_until(until)

    def watch(self, gone: object) -> None:
        assert callable(gone)
        self._lost = gone

    @property
    def has_vanished(self) -> bool:
        return False

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self._socket.server_ended()

    def abort(self) -> None:
        self.close()

    def see_off(self, seconds: float) -> None:
        self.close()
