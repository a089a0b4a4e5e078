"""How to start a server that comes as a wheel: what to run, as whom, and where it will listen.

It does not run anything: the supervisor and the tests do, each with its own idea of care.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class Launch:
    """``argv`` stays in the foreground and ends on SIGTERM within a second or two.

    ``user`` is who must run it, None for whoever we are. ``url`` answers once it is up.
    """

    role: str
    argv: tuple[str, ...]
    url: str
    port: int
    user: str | None = None
