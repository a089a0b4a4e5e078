"""A conversation on a socket that has left Hypercorn: read and written without a task of its own.

One ``Desk`` serves all of them: its tasks notice who speaks and write what was told meanwhile. The
frames are ``gateway.unframing``'s; what is said is the conversation's. The deadlines are those of
``gateway.connection``: a client that takes nothing for SEND_SECONDS_MAX has gone, and one that is
told goodbye has CLOSE_SECONDS_MAX for its half. See ops/decisions/agents.md.
"""

from __future__ import annotations

import math
import socket
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import attrs
import structlog
import trio

from common.limits import (
    AGENT_WRITE_BYTES,
    CLOSE_SECONDS_MAX,
    FAN_OUT_SENDS,
    GATHER_SECONDS,
    LINGER_SECONDS,
    PING_SECONDS,
    SEND_BUFFER_BYTES,
    SEND_SECONDS_MAX,
)
from gateway.agent.conversation import Conversation
from gateway.kernel import close_by_reset
from gateway.lookout import Lookout
from gateway.unframing import PING, Ended, Heard, Pinged, Ponged, Said, Unframer, framed

_log = structlog.get_logger(__name__)

_READ_BYTES = 64 * 1024
_INTERNAL_ERROR = 1011  # RFC 6455, section 7.4.1


@attrs.define(eq=False)
class Desk:
    """``run`` must be running for anything to be read or written."""

    lookout: Lookout = attrs.field(init=False)
    _is_gathering: bool = attrs.field(default=False, init=False)
    _told: deque[Direct] = attrs.field(factory=deque, init=False)
    """Those that have something to write."""
    _woken: trio.Event = attrs.field(factory=trio.Event, init=False)
    _text: bytes = attrs.field(default=b"", init=False)
    _frame: bytes = attrs.field(default=b"", init=False)

    def __attrs_post_init__(self) -> None:
        self.lookout = Lookout(GATHER_SECONDS, self.gathering)

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """Write what is told within the block at its end, without waking anybody for it."""
        self._is_gathering = True
        try:
            yield
        finally:
            self._is_gathering = False
            self._write_some()

    async def run(self) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.lookout.run)
            await self._write()

    def note(self, direct: Direct) -> None:
        self._told.append(direct)
        if not self._is_gathering:
            self._woken.set()

    def joined(self, texts: Iterable[bytes]) -> bytes:
        """Return their frames. What many are told one after another is framed once."""
        frames = []
        for text in texts:
            if text is not self._text:
                self._text, self._frame = text, framed(text)
            frames.append(self._frame)
        return frames[0] if len(frames) == 1 else b"".join(frames)

    async def _write(self) -> NoReturn:
        while True:
            await self._woken.wait()
            self._woken = trio.Event()
            self._write_some()

    def _write_some(self) -> None:
        for _ in range(min(len(self._told), FAN_OUT_SENDS)):
            self._told.popleft().write()
        if self._told:  # Others have their turn in between.
            self._woken.set()


@attrs.define(eq=False)
class Direct:
    """``head`` is written first. ``start`` it, run the conversation, then ``end`` it."""

    _sock: socket.socket
    _desk: Desk
    _conversation: Conversation
    _unsent: bytes
    """Whole frames, but for the beginning of the first, which may be out."""
    _unframer: Unframer = attrs.field(factory=Unframer, init=False)
    _is_open: bool = attrs.field(default=True, init=False)
    _is_noted: bool = attrs.field(default=False, init=False)
    _is_reading: bool = attrs.field(default=True, init=False)
    _is_hearing: bool = attrs.field(default=False, init=False)
    _wants_room: bool = attrs.field(default=False, init=False)
    _stuck_at: float = attrs.field(default=math.inf, init=False)
    """Since when the client has taken nothing of what waits."""
    _ping_at: float = attrs.field(default=math.inf, init=False)
    _leave_at: float = attrs.field(default=math.inf, init=False)
    """Until then the client may say its half of the goodbye; ours is said."""

    def start(self) -> None:
        self._sock.setblocking(False)
        self._ping_at = trio.current_time() + PING_SECONDS
        conversation = self._conversation
        conversation.outbox.changed = self._note
        conversation.rested = self._rested
        conversation.tend = self._tend
        self._desk.lookout.attend(self._sock, self._ready)
        self.write()
        conversation.tend_soon()

    def end(self, *, failed: bool) -> None:
        """The conversation is over; if it is so of itself, a client that is there is told."""
        if self._is_open and failed and math.isinf(self._leave_at):
            self._unsent += self._unframer.close(_INTERNAL_ERROR, "")
            self._try_send()
        self._see_off()

    def abort(self) -> None:
        if self._let_go():
            close_by_reset(self._sock)

    # What becomes due

    def _tend(self) -> float:
        now = trio.current_time()
        if now >= self._stuck_at + SEND_SECONDS_MAX:
            self._lose()
        elif now >= self._leave_at:
            self._leave()
        elif now >= self._ping_at:
            self._ping_at = now + PING_SECONDS
            self._answer(PING)
        if not self._is_open:
            return math.inf
        return min(self._ping_at, self._leave_at, self._stuck_at + SEND_SECONDS_MAX)

    # What is written

    def _note(self) -> None:
        if not self._is_noted:
            self._is_noted = True
            self._desk.note(self)

    def write(self) -> None:
        """Write what there is, as far as there is room."""
        self._is_noted = False
        outbox = self._conversation.outbox
        while self._is_open and self._fill() and self._try_send():
            if not outbox and outbox.ending is None:
                return

    def _fill(self) -> bool:
        """Whether there is something to write."""
        if self._unsent:
            return True
        outbox = self._conversation.outbox
        if texts := outbox.take(AGENT_WRITE_BYTES):
            self._unsent = self._desk.joined(texts)
        elif outbox.ending is not None and math.isinf(self._leave_at):
            ending = outbox.ending
            closing = self._unframer.close(int(ending.code), ending.reason)
            self._unsent = framed(ending.goodbye) + closing
            self._leave_at = trio.current_time() + CLOSE_SECONDS_MAX
            self._conversation.tend_soon()
        return bool(self._unsent)

    def _try_send(self) -> bool:
        """Whether all was taken."""
        try:
            sent = self._sock.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._lose()
            return False
        self._unsent = self._unsent[sent:]
        is_stuck = bool(self._unsent)
        if is_stuck and (sent or math.isinf(self._stuck_at)):
            self._stuck_at = trio.current_time()
            self._conversation.tend_soon()
        elif not is_stuck:
            self._stuck_at = math.inf
        if is_stuck != self._wants_room:
            self._wants_room = is_stuck
            self._expect()
        return not is_stuck

    def _answer(self, frame: bytes) -> None:
        """Write a control frame, before what waits. Who takes nothing is not answered for ever."""
        if len(self._unsent) < SEND_BUFFER_BYTES:
            self._unsent += frame
            self.write()

    # What is read

    def _ready(self) -> None:
        try:
            if not (self._wants_room or self._is_reading):
                self._lose()  # Nothing was expected: it is broken.
            if self._wants_room:
                self.write()
            if self._is_open and self._is_reading:
                self._read()
        except Exception:  # noqa: BLE001 - a bug that one socket hits ends that one.
            _log.error("a socket failed", bug=traceback.format_exc())
            self._lose()

    def _read(self) -> None:
        try:
            data = self._sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._unframer.feed(data)
            self._go_on()
        else:
            self._lose()

    def _go_on(self) -> None:
        """Hear what was received, as far as there is room for it; else nothing more is received."""
        if self._is_hearing:
            return  # What is heard may make room for what follows.
        self._is_hearing = True
        conversation, unframer = self._conversation, self._unframer
        while self._is_open and conversation.has_room:
            heard = unframer.next()
            if heard is None:
                break
            self._hear(heard)
        self._is_hearing = False
        is_reading = conversation.has_room
        if is_reading != self._is_reading:
            self._is_reading = is_reading
            self._expect()

    def _rested(self) -> None:
        if not self._is_reading:
            self._go_on()

    def _hear(self, heard: Heard) -> None:
        match heard:
            case Said(text=text):
                self._conversation.hear_frame(text)
            case Ponged():
                self._conversation.confirm()
            case Pinged(answer=answer):
                self._answer(answer)
            case Ended(answer=answer):
                self._unsent += answer
                self._try_send()
                self._leave()

    def _expect(self) -> None:
        if self._is_open:
            self._desk.lookout.expect(self._sock, words=self._is_reading, room=self._wants_room)

    # How it ends

    def _leave(self) -> None:
        """Both halves are said, or ours for long enough."""
        self._see_off()
        self._conversation.leave()

    def _lose(self) -> None:
        """The client has gone."""
        self.abort()
        self._conversation.leave()

    def _see_off(self) -> None:
        """Say that no more will come, and give the client time to read what did."""
        if not self._let_go():
            return
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._sock.close()
        else:
            self._desk.lookout.see_off(self._sock, LINGER_SECONDS)

    def _let_go(self) -> bool:
        """Whether it was still ours to close."""
        if not self._is_open:
            return False
        self._is_open = False
        self._desk.lookout.forget(self._sock)
        return True
