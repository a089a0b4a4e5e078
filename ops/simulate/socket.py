"""The client's end of one ASGI connection, in memory: what it is sent, it hears in the same step.

It knows no protocol. A cut connection first goes deaf, as one whose last packets were lost, and
then is gone; the server may be told of that late, or learns it from a reader that reads no more.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal, cast

import attrs
import trio
from hypercorn.typing import ASGIReceiveEvent, ASGISendEvent

TO_SERVER_MAX = 1_000  # More than a client says while its server is stopped.
FULL_RATE = 0.1  # Of what the server writes: the kernel's buffer is full, and others run first.


@attrs.define(eq=False)
class Socket:
    """``changed`` is called at every change of ``state``, ``hear`` with each piece of text."""

    _kind: Literal["http", "websocket"]
    _hear: Callable[[str], None]
    _changed: Callable[[], None]
    _dice: random.Random
    state: Literal["opening", "open", "refused", "closed"] = attrs.field(
        default="opening", init=False
    )
    status: int | None = attrs.field(default=None, init=False)
    """Of the refusal."""
    code: int | None = attrs.field(default=None, init=False)
    """Of the close; None when the connection just ended."""
    is_deaf: bool = attrs.field(default=False, init=False)
    slow_until: float = attrs.field(default=0.0, init=False)
    """Until then what the server writes is stuck."""
    is_cut: bool = attrs.field(default=False, init=False)
    """By force, see ``cuts``."""
    is_hung_up: bool = attrs.field(default=False, init=False)
    """The server can know that the client has gone."""
    _is_taken: bool = attrs.field(default=False, init=False)
    """It left Hypercorn, see ``wire``: the end of its request is not the end of it."""
    _cut: tuple[int, Callable[[], None]] | None = attrs.field(default=None, init=False)
    """After how many characters, and what then."""
    _gone: Callable[[], None] | None = attrs.field(default=None, init=False)
    _sender: trio.MemorySendChannel[ASGIReceiveEvent] = attrs.field(init=False)
    _receiver: trio.MemoryReceiveChannel[ASGIReceiveEvent] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._sender, self._receiver = trio.open_memory_channel[ASGIReceiveEvent](TO_SERVER_MAX)
        if self._kind == "websocket":
            self._put({"type": "websocket.connect"})
        else:
            self._put({"type": "http.request", "body": b"", "more_body": False})

    # What the server calls

    async def receive(self) -> ASGIReceiveEvent:
        return await self._receiver.receive()

    async def send(self, event: ASGISendEvent) -> None:
        if self.slow_until and self.slow_until > trio.current_time():
            await trio.sleep_until(self.slow_until)
        elif self._dice.random() < FULL_RATE:
            await trio.lowlevel.checkpoint()
        else:
            await trio.lowlevel.checkpoint_if_cancelled()
        if not self.is_deaf and self.state in ("opening", "open"):
            self._take(event)

    def _take(self, event: ASGISendEvent) -> None:
        match event["type"]:
            case "websocket.accept":
                self._become("open")
            case "websocket.send":
                self.hear_piece(event["text"] or "")
            case "websocket.close":
                self.code = event["code"]
                self.leave()
            case "http.response.start" if event["status"] == 200:
                self._become("open")
            case "http.response.start" | "websocket.http.response.start":
                self.status = event["status"]
                self._become("refused")
            case "http.response.body" if self.state == "open":
                self.hear_piece(event["body"].decode())
            case _:
                pass

    def be_taken(self, gone: Callable[[], None]) -> None:
        """The server writes to it directly from now on; ``gone`` is called when the client goes."""
        self._is_taken, self._gone = True, gone

    def hear_piece(self, text: str) -> None:
        """Let the client hear what came: a whole frame, or a part of an event stream."""
        if self.is_deaf or self.state not in ("opening", "open"):
            return
        if self.state == "opening":
            self._become("open")
        if self._cut is None:
            self._hear(text)
            return
        left, cut = self._cut
        heard = text if len(text) <= left else "" if self._kind == "websocket" else text[:left]
        self._cut = left - len(heard), cut
        if heard:
            self._hear(heard)
        if heard != text:
            cut()

    def request_ended(self) -> None:
        if not self._is_taken:
            self.server_ended()

    def server_ended(self) -> None:
        if self.state in ("opening", "open"):
            self._become("closed")

    # What the client calls

    def say(self, text: str) -> None:
        if self.state == "open" and not self.is_deaf:
            self._put({"type": "websocket.receive", "text": text, "bytes": None})

    def cut_after(self, characters: int, cut: Callable[[], None]) -> None:
        """Hear so much and no more, then call ``cut``; half a WebSocket frame is none."""
        self._cut = characters, cut

    def leave(self) -> None:
        """End the connection; the server hears of it."""
        self.vanish()
        self.hang_up()

    def vanish(self) -> None:
        """As if the cable were torn out: the client hears no more, and nobody else knows."""
        self.is_deaf = True
        if self.state in ("opening", "open"):
            self._become("closed")

    def hang_up(self) -> None:
        """Let the server know that the client has gone; harmless when it does."""
        if self.is_hung_up:
            return
        self.is_hung_up = True
        if self._gone is not None:
            self._gone()
        self._put(
            cast(
                "ASGIReceiveEvent",
                {"type": "websocket.disconnect", "code": 1006}
                if self._kind == "websocket"
                else {"type": "http.disconnect"},
            )
        )

    def _put(self, event: ASGIReceiveEvent) -> None:
        try:
            self._sender.send_nowait(event)
        except (trio.WouldBlock, trio.BrokenResourceError):
            return  # The server reads no more.

    def _become(self, state: Literal["open", "refused", "closed"]) -> None:
        self.state = state
        self._changed()
