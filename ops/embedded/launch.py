"""How to start a server that comes as a wheel: what to run, as whom, and where it will listen.

It does not run anything: the supervisor and the tests do, each with its own idea of care.
"""

from __future__ import annotations

import signal

import attrs


@attrs.frozen
class Launch:
    """``argv`` stays in the foreground and ends on ``stop_signal`` within a second or two.

    ``user`` is who must run it, None for whoever we are. ``url`` answers once it is up. Start it
    in a session of its own: Ctrl-C would stop it before those who still have to save.
    """

    role: str
    argv: tuple[str, ...]
    url: str
    port: int
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
