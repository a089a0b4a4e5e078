"""When chunks tick: TICK_HZ times a second, each at its own moment of that fifth of a second.

A chunk's moment follows from its id, so that a thousand chunks don't all want the processor at
once. Those of one moment share one timer and one publication. Absolute times: beat ``n`` is at
``n * BEAT_SECONDS`` of trio's clock, whatever happened before. It knows no chunk's state.
"""

from __future__ import annotations

import math
import zlib

import attrs
import trio

from common.grid import ChunkId
from common.limits import BEATS_PER_TICK, TICK_SECONDS

BEAT_SECONDS = TICK_SECONDS / BEATS_PER_TICK
_ROUNDING = 1e-6  # Beats: a time that was reckoned from a beat's number must give that number.


def phase_of(chunk: ChunkId) -> int:
    """Return at which beat of each tick ``chunk`` has its turn."""
    return zlib.crc32(chunk.encode()) % BEATS_PER_TICK


def last_due(phase: int) -> int:
    """Return the number of the last turn of ``phase`` that has come."""
    beat = math.floor(trio.current_time() / BEAT_SECONDS + _ROUNDING)
    return (beat - phase) // BEATS_PER_TICK


def next_due(phase: int) -> int:
    """Return the number of the first turn of ``phase`` that is not over."""
    beat = math.ceil(trio.current_time() / BEAT_SECONDS - _ROUNDING)
    return -((phase - beat) // BEATS_PER_TICK)


def due_time(phase: int, due: int) -> float:
    return (due * BEATS_PER_TICK + phase) * BEAT_SECONDS


@attrs.define(eq=False)
class Metronome:
    _lots: dict[int, trio.lowlevel.ParkingLot] = attrs.field(factory=dict, init=False)
    """Beat -> who waits for it: few, and none when all chunks rest."""
    _next: float = attrs.field(default=-math.inf, init=False)
    """The beat that ``run`` waits for; before the first nobody needs to hurry it."""
    _sooner: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def wait_turn(self, phase: int, due: int) -> None:
        """Wait for turn ``due`` of ``phase``; ``run`` must be running."""
        beat = due * BEATS_PER_TICK + phase
        lot = self._lots.get(beat)
        if lot is None:
            lot = self._lots[beat] = trio.lowlevel.ParkingLot()
            if beat < self._next:
                self._sooner.set()
        await lot.park()

    async def run(self) -> None:
        """Call everybody at their beat, until cancelled."""
        while True:
            self._next = min(self._lots, default=math.inf)
            self._sooner = trio.Event()
            with trio.move_on_at(self._next * BEAT_SECONDS):
                await self._sooner.wait()
            now = trio.current_time() / BEAT_SECONDS + _ROUNDING
            for beat in sorted(beat for beat in self._lots if beat <= now):
                self._lots.pop(beat).unpark_all()
