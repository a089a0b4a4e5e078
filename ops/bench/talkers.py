"""Agents on real WebSockets that command at an even pace, and how long each ack took.

They prove their commands as the reference client does, with its own code, but pass over what they
see of the world: it is the server that is measured.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial

import attrs
import httpx
import trio
from trio_websocket import WebSocketConnection

from common import wire
from common.commands import Command, MoveTo, Say, Wait
from common.frames import (
    Ack,
    Answer,
    Cancel,
    Challenge,
    CommandRequest,
    Result,
    ServerFrame,
    SessionReady,
)
from common.grid import AgentId, CommandId
from ops.client.account import Ticket, open_http, open_session, sign_up
from ops.client.commanding import Commanding, Pending
from ops.client.socket import open_socket

JOINING_AT_A_TIME = 8
_SEEN = ('{"chunk', '{"type":"chunk')
"""How frames begin that show the world. They are told by their beginning: reading all that a
hundred agents see in one chunk would take more than the server does to send it."""


@attrs.define(eq=False)
class Talker:
    """``two_steps``: ask for a challenge for each command, else prove it with the one at hand."""

    commanding: Commanding
    socket: WebSocketConnection
    two_steps: bool = True
    acks_ms: list[float] = attrs.field(factory=list)
    results: int = 0
    refused: dict[str, int] = attrs.field(factory=dict)
    at: tuple[int, int] = (0, 0)
    _sent: dict[CommandId, float] = attrs.field(factory=dict)
    _busy: CommandId | None = None
    _turns: itertools.count[int] = attrs.field(factory=itertools.count)

    async def listen(self, ready: trio.Event) -> None:
        while True:
            text = await self.socket.get_message()
            assert isinstance(text, str)
            if text.startswith(_SEEN):
                continue
            await self._hear(wire.structure_leniently(wire.parse(text), ServerFrame), ready)

    async def _hear(self, frame: ServerFrame, ready: trio.Event) -> None:
        match frame:
            case SessionReady():
                self.at = (frame.position.x, frame.position.y)
                self.commanding.reconnected(frame.challenge)
                ready.set()
            case Challenge():
                answer = self.commanding.challenged(frame)
                if answer is not None:
                    await self._send(answer)
            case Ack(id=id, code=code):
                waited = trio.current_time() - self._sent.pop(id)
                self.commanding.acked(frame)
                if code is None:
                    self.acks_ms.append(waited * 1000)
                else:  # Quickly said: it would make the others look better.
                    self.refused[code] = self.refused.get(code, 0) + 1
                    self._ended(id)
            case Result(id=id, position=at):
                self.results += 1
                self.at = (at.x, at.y)
                self._ended(id)
            case _:
                pass

    def _ended(self, id: CommandId) -> None:
        self.commanding.forget(id)
        if self._busy == id:
            self._busy = None

    async def talk(self, per_second: float, delay: float, seconds: float) -> None:
        """Command ``per_second`` times a second; who is late does not hurry."""
        due = trio.current_time() + delay
        end = trio.current_time() + seconds
        while due < end:
            await trio.sleep_until(due)
            pending, frame = self.commanding.begin(self._next_command(), lambda: None)
            if self.two_steps and isinstance(frame, CommandRequest):
                frame = attrs.evolve(frame, answer=None)
            self._note(pending)
            await self._send(frame)
            due = max(due + 1 / per_second, trio.current_time())

    def _next_command(self) -> Command:
        """Two of three talk; the third waits a tick, or takes a step."""
        turn = next(self._turns)
        if turn % 3 or self._busy is not None:
            return Say("good day to everybody here")
        x, y = self.at
        return Wait(1) if turn % 2 else MoveTo(x + (1 if turn % 4 else -1), y)

    def _note(self, pending: Pending) -> None:
        if pending.command["name"] != "say":
            self._busy = pending.id

    async def _send(self, frame: CommandRequest | Answer | Cancel) -> None:
        self._sent[frame.id] = trio.current_time()  # From the answer, where there is one.
        await self.socket.send_message(wire.encode(frame).decode())


async def join(url: str, count: int, nursery: trio.Nursery, stop: trio.Event) -> Sequence[Talker]:
    """Have ``count`` agents sign up and connect; they stay in ``nursery`` until ``stop``."""
    seats = trio.CapacityLimiter(JOINING_AT_A_TIME)
    talkers: list[Talker] = []

    async def enter(http: httpx.AsyncClient, n: int) -> None:
        async with seats:
            who = await sign_up(http, f"talker-{n}")
            ticket = await open_session(http, who.api_key)
            talkers.append(await nursery.start(partial(_play, url, who.agent_id, ticket, stop)))

    async with open_http(url) as http, trio.open_nursery() as joining:
        for n in range(count):
            joining.start_soon(enter, http, n)
    return talkers


async def _play(
    url: str,
    agent: AgentId,
    ticket: Ticket,
    stop: trio.Event,
    task_status: trio.TaskStatus[Talker],
) -> None:
    bearer = (b"Authorization", f"Bearer {ticket.session_token}".encode())
    async with open_socket(url + ticket.ws_path, [bearer]) as socket, trio.open_nursery() as both:
        commanding = Commanding(agent, ticket.session_id, ticket.secret)
        talker, ready = Talker(commanding, socket), trio.Event()
        both.start_soon(talker.listen, ready)
        await ready.wait()
        task_status.started(talker)
        await stop.wait()
        both.cancel_scope.cancel()
