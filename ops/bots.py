"""Demo agents: a few walkers with habits, so that a new world has somebody to look at.

They are ordinary clients with ordinary limits. What they do is drawn at random; nothing of the
world depends on it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Protocol

import attrs
import httpx
import structlog
import trio

from common.grid import CHUNK_SIZE
from common.refusals import CloseCode
from common.replica import Replica
from ops.client import Failed, Keyring, Refused, Rejected, SessionOver, StreamBroken, connect

log = structlog.get_logger()

NAMES = (
    "Andamento", "Bessal", "Calx", "Emblema", "Nilo", "Opus", "Smalto", "Tegula",
    "Vermis", "Lapilli", "Grout", "Fresco", "Alba", "Cosma", "Murano", "Ravenna",
)  # fmt: skip
SAYINGS = (
    "One tile at a time.",
    "Has anybody seen the lake in the east?",
    "I was here a moment ago, and now I am here.",
    "Mind the wall.",
    "From far away we must look like a pattern.",
    "After you. No, after you.",
    "There is a gap in that wall, I am sure of it.",
    "Five steps a second. Not one more.",
)
HOME_CHUNKS = 1  # Bots stay this near to the first chunk, where people look.
RETRY_SECONDS = 5.0


async def run_bots(url: str, count: int, keys: Path, stop: trio.Event) -> None:
    """Drive ``count`` bots against ``url`` until ``stop``; each comes back by itself."""
    async with trio.open_nursery() as nursery:
        for number in range(count):
            name = name_of(number)
            # It stays in the world when this process ends, and is found there by the next one.
            enter = partial(connect, url, name, keys=keys, leave=False)
            nursery.start_soon(keep_alive, enter, name, Keyring(keys))
        await stop.wait()
        nursery.cancel_scope.cancel()


def name_of(number: int) -> str:
    turn, which = divmod(number, len(NAMES))
    return NAMES[which] + (f"-{turn + 1}" if turn else "")


async def keep_alive(
    enter: Callable[[], AbstractAsyncContextManager[Walker]], name: str, keyring: Keyring
) -> None:
    """Live in the world that ``enter`` leads to; return when somebody else is ``name`` there."""
    while True:
        pause = RETRY_SECONDS
        try:
            async with enter() as agent:
                await Bot(agent, random.Random(name)).live()  # noqa: S311  Habits, no secrets.
        except Refused as refusal:
            if refusal.code == "name_taken":
                log.warning("the name is somebody else's, leaving it", bot=name)
                return
            pause = _after(refusal, name, keyring)
        except SessionOver as over:
            if over.code == CloseCode.REPLACED:
                log.warning("somebody else drives this bot now, leaving it", bot=name)
                return
            log.warning("bot lost its session", bot=name, error=str(over))
        except (StreamBroken, httpx.TransportError) as error:
            log.warning("bot lost its connection", bot=name, error=str(error))
        await trio.sleep(pause)


def _after(refusal: Refused, name: str, keyring: Keyring) -> float:
    """How long to wait; a key that the server does not know (a new world) is forgotten."""
    if refusal.status == 401:
        keyring.forget(name)
    log.info("bot was refused", bot=name, code=refusal.code)
    return (refusal.retry_after_ms or RETRY_SECONDS * 1000) / 1000


class Walker(Protocol):
    """What a bot needs of an agent."""

    @property
    def view(self) -> Replica | None: ...

    async def move_to(self, x: int, y: int) -> object: ...

    async def say(self, text: str) -> object: ...

    async def wait(self, ticks: int) -> object: ...


@attrs.define
class Bot:
    agent: Walker
    chance: random.Random

    async def live(self) -> None:
        while True:
            try:
                await self._act()
            except Failed:
                await trio.sleep(self.chance.uniform(0.2, 1.0))
            except Rejected as rejected:
                await trio.sleep(max(0.5, (rejected.retry_after_ms or 0) / 1000))

    async def _act(self) -> None:
        habit = self.chance.random()
        if habit < 0.08:
            await self.agent.say(self.chance.choice(SAYINGS))
        elif habit < 0.25:
            await self.agent.wait(self.chance.randint(3, 15))
        else:
            await self.agent.move_to(*self._goal())

    def _goal(self) -> tuple[int, int]:
        """Mostly a floor cell that it can see; now and then anywhere in the chunks around home."""
        view = self.agent.view
        if view is not None and self.chance.random() < 0.6:
            x, y = self.chance.randrange(CHUNK_SIZE), self.chance.randrange(CHUNK_SIZE)
            if view.static.terrain[y][x] == ".":
                cx, cy = (int(part) for part in view.static.chunk.split(":"))
                return cx * CHUNK_SIZE + x, cy * CHUNK_SIZE + y
        low, high = -HOME_CHUNKS * CHUNK_SIZE, (HOME_CHUNKS + 1) * CHUNK_SIZE - 1
        return self.chance.randint(low, high), self.chance.randint(low, high)
