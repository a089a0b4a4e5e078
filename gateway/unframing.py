"""WebSocket frames of RFC 6455, from bytes to what a client says, and from what we say to bytes.

It knows no socket and no endpoint. A whole text message in one frame, which is nearly all that
comes, is read here; everything else, and every breach of the rules, is wsproto's to judge. No
message is kept beyond FRAME_BYTES_MAX bytes. No extension is known.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason

from common.limits import FRAME_BYTES_MAX

PING = b"\x89\x00"

_TEXT, _CLOSE, _PING, _PONG = 0x81, 0x88, 0x89, 0x8A  # First bytes of frames that are whole.
_MASKED = 0x80
_SHORT_MAX = 125  # Beyond, the length has two bytes of its own, and from 64 KB on eight.
_TWO_BYTES = 126


@attrs.frozen
class Said:
    """A message; None: a binary one."""

    text: str | None


@attrs.frozen
class Pinged:
    """``answer`` is the pong to send."""

    answer: bytes


@attrs.frozen
class Ponged:
    pass


@attrs.frozen
class Ended:
    """The client closes, or broke the rules; ``answer`` is the close frame to send, if any."""

    answer: bytes


Heard = Said | Pinged | Ponged | Ended


def framed(text: bytes) -> bytes:
    """Return the frame of a text message, ``text`` in UTF-8, as a server sends it."""
    size = len(text)
    if size <= _SHORT_MAX:
        return b"%c%c%b" % (_TEXT, size, text)
    if size < 1 << 16:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), text)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), text)


@attrs.define(eq=False)
class Unframer:
    """``feed`` it what was received, and ask ``next`` until it returns None."""

    _rest: bytes = b""
    _slow: Connection | None = None
    """Once something came that it does not read itself, wsproto reads all that follows: fragments
    and what comes between them. Control frames alone go there and back."""
    _is_forwarding: bool = False
    _events: Iterator[Event] | None = None
    _size: int = 0
    """Of the message that wsproto reads, so far."""
    _kind: type[TextMessage] | type[BytesMessage] | None = None
    _parts: list[str] = attrs.field(factory=list)

    @property
    def waiting(self) -> int:
        """Bytes that were received and not yet read."""
        return len(self._rest)

    def feed(self, data: bytes) -> None:
        self._rest = self._rest + data if self._rest else data

    def next(self) -> Heard | None:
        """Return what was said next; None: more must be received first."""
        while True:
            if self._events is not None:
                heard = self._read_events(self._events)
                if heard is not None:
                    return heard
                self._events = None
            if not self._rest:
                return None
            if self._is_forwarding:
                self._forward(len(self._rest))
                continue
            size = self._frame_size()
            if size is None:
                self._is_forwarding = True
            elif len(self._rest) < size:
                return None
            elif self._rest[0] == _TEXT and (text := self._text(size)) is not None:
                return Said(text)
            else:
                self._forward(size)

    def close(self, code: int, reason: str) -> bytes:
        """Return our own close frame; nothing when it was sent."""
        if self._proto.state is not ConnectionState.OPEN:
            return b""
        return bytes(self._proto.send(CloseConnection(code, reason)))

    # What is read here

    def _frame_size(self) -> int | None:
        """Of the frame that begins the rest; 0: not known yet; None: it is nothing for us."""
        rest = self._rest
        if rest[0] not in (_TEXT, _CLOSE, _PING, _PONG):
            return None
        if len(rest) < 2:
            return 2
        size = rest[1] - _MASKED
        if 0 <= size <= _SHORT_MAX:
            return 6 + size
        if size != _TWO_BYTES or rest[0] != _TEXT:
            return None
        if len(rest) < 4:
            return 4
        size = rest[2] << 8 | rest[3]
        return 8 + size if _SHORT_MAX < size <= FRAME_BYTES_MAX else None

    def _text(self, size: int) -> str | None:
        """Take a whole text frame of ``size`` off the rest; None: it is no UTF-8."""
        rest = self._rest
        start = 6 if rest[1] & 0x7F <= _SHORT_MAX else 8
        try:
            text = unmasked(rest[start - 4 : start], rest[start:size]).decode()
        except UnicodeDecodeError:
            return None
        self._rest = rest[size:]
        return text

    # What wsproto reads

    @property
    def _proto(self) -> Connection:
        if self._slow is None:
            self._slow = Connection(ConnectionType.SERVER)
        return self._slow

    def _forward(self, size: int) -> None:
        data, self._rest = self._rest[:size], self._rest[size:]
        self._proto.receive_data(data)
        self._events = iter(self._proto.events())

    def _read_events(self, events: Iterator[Event]) -> Heard | None:
        for event in events:
            heard = self._read_event(event)
            if heard is not None:
                return heard
        return None

    def _read_event(self, event: Event) -> Heard | None:
        match event:
            case TextMessage() | BytesMessage():
                return self._part(event)
            case Ping() if self._proto.state is not ConnectionState.OPEN:
                return None  # After a close frame there is nothing that could be sent.
            case Ping():
                return Pinged(bytes(self._proto.send(event.response())))
            case Pong():
                return Ponged()
            case CloseConnection():
                return self._ended(event)
            case _:
                raise AssertionError(f"{event} is none of a server's")

    def _part(self, event: TextMessage | BytesMessage) -> Heard | None:
        is_text = isinstance(event, TextMessage)
        data = event.data
        self._size += len(data.encode() if isinstance(data, str) else data)
        if self._size > FRAME_BYTES_MAX:
            return Ended(self.close(CloseReason.MESSAGE_TOO_BIG, ""))
        if isinstance(data, str):
            self._parts.append(data)
        if not event.message_finished:
            return None
        text = "".join(self._parts) if is_text else None
        self._parts.clear()
        self._size = 0
        return Said(text)

    def _ended(self, event: CloseConnection) -> Ended:
        match self._proto.state:
            case ConnectionState.REMOTE_CLOSING:
                return Ended(bytes(self._proto.send(event.response())))
            case ConnectionState.OPEN:  # A breach: wsproto names the code that it deserves.
                return Ended(self.close(event.code, ""))
            case _:
                return Ended(b"")


def unmasked(mask: bytes, data: bytes) -> bytes:
    """https://www.rfc-editor.org/rfc/rfc6455#section-5.3"""
    size = len(data)
    pad = (mask * (size // 4 + 1))[:size]
    number = int.from_bytes(data, "little") ^ int.from_bytes(pad, "little")
    return number.to_bytes(size, "little")
