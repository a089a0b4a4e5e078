"""The world in a terminal: one chunk, drawn as it changes, and what is said in it.

It only watches. Two columns a cell, because characters are twice as high as wide.
"""

from __future__ import annotations

from collections import deque
from functools import partial

import attrs
import httpx
import trio
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from common.adapters.beside import beside
from common.errors import Misconfigured
from common.events import Event, Said
from common.frames import ChunkDelta, ChunkStatic, Entity, Resync, SpectatorReady
from common.grid import CHUNK_SIZE, AgentId, ChunkId, chunk_coordinates
from common.replica import Replica
from ops.client import Refused, SpectatorEvent, View, spectate

LINES_KEPT = 6
FRAMES_PER_S = 8
COLOURS = ("red", "green", "yellow", "blue", "magenta", "cyan", "bright_red", "bright_green")
TERRAIN = {".": ("· ", "grey23"), "#": ("██", "grey50"), "~": ("≈≈", "blue")}


@attrs.define
class Screen:
    """What is shown; ``heard`` changes it, ``draw`` draws it."""

    chunk: ChunkId
    url: str
    view: View = attrs.field(factory=View)
    said: deque[str] = attrs.field(factory=lambda: deque(maxlen=LINES_KEPT))

    def heard(self, event: SpectatorEvent) -> None:
        match event.frame:
            case ChunkStatic() as static:
                self.view.see(static)
            case ChunkDelta(events=events) as delta:
                for happened in events:
                    self._note(happened)
                self.view.see(delta)
            case Resync(reason=reason):
                self.said.append(f"(resynced: {reason})")
            case SpectatorReady():
                pass

    def draw(self) -> Panel:
        replica = self.view.replicas.get(self.chunk)
        if replica is None:
            return Panel(Text(f"waiting for {self.url} ..."), title=self.chunk)
        title = f"chunk {self.chunk}   tick {replica.tick}   {len(replica.entities)} here"
        # What was said comes first: a terminal with fewer than 60 lines cuts off the rest.
        return Panel(Group(Text("\n".join(self.said)), draw_chunk(replica)), title=title)

    def _note(self, event: Event) -> None:
        if isinstance(event, Said):
            self.said.append(f"{self._name(event.id)}: {printable(event.text)}")

    def _name(self, id: AgentId) -> str:
        replica = self.view.replicas.get(self.chunk)
        entity = replica.entities.get(id) if replica else None
        return (entity.name if entity else None) or id


def printable(text: str) -> str:
    """Return ``text`` without what a terminal would obey: agents say what they like."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def draw_chunk(replica: Replica) -> Text:
    """Return the chunk as text: terrain, and each agent by the first two letters of its name."""
    cx, cy = chunk_coordinates(replica.static.chunk)
    at: dict[tuple[int, int], Entity] = {
        (entity.x - cx * CHUNK_SIZE, entity.y - cy * CHUNK_SIZE): entity
        for entity in replica.entities.values()
    }
    picture = Text(no_wrap=True)
    for y, row in enumerate(replica.static.terrain):
        for x, cell in enumerate(row):
            if entity := at.get((x, y)):
                label = (entity.name or entity.id)[:2].ljust(2)
                picture.append(label, f"bold reverse {COLOURS[hash_of(entity.id)]}")
            else:
                picture.append(*TERRAIN[cell])
        picture.append("\n")
    return picture


def hash_of(id: AgentId) -> int:
    return sum(id.encode()) % len(COLOURS)


async def watch(url: str, chunk: ChunkId, console: Console, stop: trio.Event) -> None:
    """Show ``chunk`` until ``stop``. Misconfigured when the server does not let us watch."""
    screen = Screen(chunk, url)
    try:
        with Live(screen.draw(), console=console, auto_refresh=False, screen=True) as live:
            async with beside(partial(_redraw, screen, live)), beside(partial(_hear, screen)):
                await stop.wait()
    except Refused as refused:
        raise Misconfigured(f"{url} does not show {chunk!r}: {refused}") from None
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise Misconfigured(f"{url!r} is no address of a gateway: {error}") from None


async def _hear(screen: Screen) -> None:
    async with spectate(screen.url, [screen.chunk]) as events:
        async for event in events:
            screen.heard(event)


async def _redraw(screen: Screen, live: Live) -> None:
    while True:
        live.update(screen.draw(), refresh=True)
        await trio.sleep(1 / FRAMES_PER_S)
