"""Reads the slot's stream into the inbox, and lets Redis forget what is dealt with."""

from __future__ import annotations

import attrs
import structlog
import trio

from common.errors import Trouble
from common.grid import Slot
from common.limits import INTAKE_BATCH_MAX, INTAKE_WAIT_MS, REDIS_SECONDS_MAX
from shard.inbox import Inbox
from shard.patience import bounded, next_pause
from shard.ports import Bus

_log = structlog.get_logger()


@attrs.define(eq=False)
class Receiver:
    _bus: Bus
    _inbox: Inbox
    _slot: Slot
    _after: str = attrs.field(default="0", init=False)
    _upto: str | None = attrs.field(default=None, init=False)
    """Up to where all is dealt with, until Redis has heard of it."""

    async def run(self) -> None:
        """Receive until cancelled."""
        pause = 0.0
        while True:
            await self._inbox.wait_room()
            try:
                await self._receive()
                await self.forget()
                pause = 0.0
            except Trouble as trouble:
                pause = next_pause(pause)
                _log.warning("cannot receive", slot=self._slot, trouble=str(trouble))
                await trio.sleep(pause)

    async def _receive(self) -> None:
        seconds = INTAKE_WAIT_MS / 1000 + REDIS_SECONDS_MAX
        batch = await bounded(
            seconds,
            lambda: self._bus.receive(self._slot, self._after, INTAKE_BATCH_MAX, INTAKE_WAIT_MS),
        )
        if batch:
            self._after = batch[-1].position
            self._inbox.receive(batch)

    async def forget_at_last(self) -> None:
        """As ``forget``, at the end: when it fails, whoever comes next sees a bit more again."""
        try:
            await self.forget()
        except Trouble as trouble:
            _log.warning("cannot forget", slot=self._slot, trouble=str(trouble))

    async def forget(self) -> None:
        """What is forgotten twice does no harm; what is not, is decided again, the same way.

        When it fails, it is done at the next time: no later message may come to do it.
        """
        self._upto = self._inbox.take_done() or self._upto
        if (upto := self._upto) is not None:
            await bounded(REDIS_SECONDS_MAX, lambda: self._bus.done(self._slot, upto))
            if self._upto == upto:
                self._upto = None
