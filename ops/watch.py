"""The world in a terminal: one chunk, drawn as it changes, and what is said in it.

It only watches. Two columns a cell, because characters are twice as high as wide.
"""

from __future__ import annotations

from collections import deque

import attrs
import trio
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from common.events import Event, Said
from common.frames import ChunkDelta, ChunkStatic, Entity, Resync, SpectatorReady
from common.grid import CHUNK_SIZE, AgentId, ChunkId, chunk_coordinates
from common.replica import Replica
from ops.client import SpectatorEvent, View, spectate

LINES_KEPT = 6
FRAMES_PER_S = 8
COLOURS = ("red", "green", "yellow", "blue", "magenta", "cyan", "bright_red", "bright_green")
TERRAIN = {".": ("· ", "grey23"), "#": ("██", "grey50"), "~": ("≈≈", "blue")}


@attrs.define
class Screen:
    """What is shown; ``heard`` changes it, ``draw`` draws it."""

    chunk: ChunkId
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
            return Panel(Text("waiting for the chunk ..."), title=self.chunk)
        title = f"chunk {self.chunk}   tick {replica.tick}   {len(replica.entities)} here"
        return Panel(Group(draw_chunk(replica), Text("\n".join(self.said))), title=title)

    def _note(self, event: Event) -> None:
        if isinstance(event, Said):
            self.said.append(f"{self._name(event.id)}: {event.text}")

    def _name(self, id: AgentId) -> str:
        replica = self.view.replicas.get(self.chunk)
        entity = replica.entities.get(id) if replica else None
        return (entity.name if entity else None) or id


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


async def watch(url: str, chunk: ChunkId, console: Console) -> None:
    """Show ``chunk`` until cancelled. Raises Refused when the server does not let us watch."""
    screen = Screen(chunk)
    with Live(screen.draw(), console=console, auto_refresh=False, screen=True) as live:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_redraw, screen, live)
            async with spectate(url, [chunk]) as events:
                async for event in events:
                    screen.heard(event)


async def _redraw(screen: Screen, live: Live) -> None:
    while True:
        live.update(screen.draw(), refresh=True)
        await trio.sleep(1 / FRAMES_PER_S)
