"""Connections that are cut by force: so many as the plan wants, each at a point that is drawn.

After so many characters, in the middle of a static, of a delta, of what is told again at a resume;
or after some time, also before anything was answered. The server learns of it at once, or late, or
by what takes the place of the connection. It counts whoever is served again after a cut.
"""

from __future__ import annotations

import random
from typing import Literal

import attrs
import trio

from ops.simulate.network import Network
from ops.simulate.socket import Socket

SECONDS_MEAN = 1.5
CHARACTERS_MAX_LOG = 4.7  # 50,000: some twenty statics.
UNNOTICED_RATE = 0.25
UNNOTICED_SECONDS_MAX = 12.0


@attrs.define(eq=False)
class Cuts:
    _wanted: int
    _network: Network
    enough: trio.Event = attrs.field(factory=trio.Event, init=False)
    """So many came back: nothing is cut any more."""
    _came_back: int = attrs.field(default=0, init=False)

    def threaten(self, socket: Socket, dice: random.Random) -> None:
        """Let ``socket``, which is new, be cut some time."""
        if self._came_back >= self._wanted:
            return
        late = dice.uniform(0, UNNOTICED_SECONDS_MAX) if dice.random() < UNNOTICED_RATE else 0.0

        def cut() -> None:
            if socket.is_cut or socket.state not in ("opening", "open"):
                return
            socket.is_cut = True
            socket.vanish()
            self._network.after(late, socket.hang_up)

        if dice.random() < 0.5:
            socket.cut_after(int(10 ** dice.uniform(0, CHARACTERS_MAX_LOG)), cut)
        else:
            self._network.after(dice.expovariate(1 / SECONDS_MEAN), cut)

    def came_back(self, whom: Literal["agent", "spectator"]) -> None:
        """One who was cut off is served again."""
        self._network.ledger.count(f"reconnects {whom}")
        self._came_back += 1
        if self._came_back == self._wanted:
            self.enough.set()
