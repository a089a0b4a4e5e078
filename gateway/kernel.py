"""What the gateway asks of the kernel for one socket: a reset, an end for peers that vanished.

It knows no protocol and closes nothing itself. Linux has all of it; elsewhere the calls do what
they can, and TCP's own quarter of an hour is left.
"""

from __future__ import annotations

import socket
import struct

import trio

from common.limits import STILL_VANISHED_SECONDS_MAX

Socket = socket.socket | trio.socket.SocketType

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() throws away what is unsent.


def close_by_reset(sock: Socket) -> None:
    """Close at once and free what the kernel holds for it. OSError when it is closed already."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()


def end_vanished(sock: Socket, seconds: float) -> None:
    """Let the kernel end ``sock`` when its peer acknowledges nothing for so long; 0: never."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


def has_vanished(sock: Socket) -> bool:
    """Whether the peer acknowledged nothing for long; if it is sent something now and then."""
    try:
        return _silent_seconds(sock) > STILL_VANISHED_SECONDS_MAX
    except OSError:
        return True


def _silent_seconds(sock: Socket) -> float:
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        return 0.0
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 60)
    (milliseconds,) = struct.unpack_from("I", info, 56)  # tcpi_last_ack_recv, linux/tcp.h
    return float(milliseconds) / 1000
