"""How an event stream leaves Hypercorn, to go on as a connection of ``gateway.plain``.

It says which may, and decides nothing about what is streamed. A port, so that a simulated gateway
can do the same with connections that have no socket.
"""

from __future__ import annotations

from typing import Protocol

import attrs
from hypercorn.typing import HTTPScope

from gateway.connection import connection_of
from gateway.lookout import CAN_LOOK_OUT, Lookout
from gateway.plain import PlainAnswer, PlainConnection


class Takeover(Protocol):
    def take(self, scope: HTTPScope) -> PlainAnswer | None:
        """Return the answer to the request of ``scope``, which is the caller's to give from now on.

        None: Hypercorn must go on with it. Else the endpoint returns at once, see ``Connection``.
        """

    async def run(self) -> None:
        """Notice who has gone, until cancelled."""

    async def wait_idle(self) -> None:
        """Return once those that we are done with have read our last words."""


@attrs.frozen(eq=False)
class SocketTakeover:
    """Of real sockets, which one lookout watches."""

    _lookout: Lookout = attrs.field(factory=Lookout)

    def take(self, scope: HTTPScope) -> PlainAnswer | None:
        connection = connection_of(scope)
        sock = connection.take_over() if connection is not None else None
        if connection is None or sock is None:
            return None
        return PlainAnswer(PlainConnection(sock, self._lookout), connection.config)

    async def run(self) -> None:
        await self._lookout.run()

    async def wait_idle(self) -> None:
        await self._lookout.wait_idle()


def make_takeover() -> Takeover | None:
    """Return what this machine can do: None where nothing can watch sockets."""
    return SocketTakeover() if CAN_LOOK_OUT else None
