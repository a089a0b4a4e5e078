"""A chunk as a picture: PNG of one moment, GIF of many.

It draws what it is given, in the colours of the live viewer at night. Agents are discs with the
first two letters of their names, and a line along the way that is left to them in this chunk.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from common.errors import Misconfigured
from common.grid import CHUNK_SIZE
from common.limits import TICK_SECONDS
from shard.world.state import Agent, Chunk, Walking
from shard.world.terrain import STEPS, terrain_of

CELL = 16  # Pixels: room for two letters.
TITLE = 24  # Pixels, above.
FRAMES_MAX = 300  # A minute of a busy chunk; some MB.
STILL_MS_MAX = 1_000  # A quiet stretch is not worth waiting for.

_SIDE = CHUNK_SIZE * CELL
_INK, _PAPER = (233, 230, 223), (20, 22, 27)
_GROUNDS = {".": (57, 51, 45), "#": (134, 118, 106), "~": (43, 76, 95)}
_BLENDS = 16  # Between two colours: 9 * 17 and the grounds fit into a GIF's 256.
_COLOURS = (
    (232, 193, 112), (217, 112, 90), (124, 190, 120), (111, 168, 220),
    (193, 139, 214), (95, 190, 180), (236, 157, 170), (190, 200, 100),
)  # fmt: skip


def save_png(path: Path, chunk: Chunk) -> None:
    """Misconfigured when ``path`` cannot be written."""
    try:
        _draw(chunk).save(path, "PNG", optimize=True)
    except OSError as error:
        raise _unwritable(path, error) from None


def save_gif(path: Path, chunks: Sequence[Chunk]) -> None:
    """Show the last FRAMES_MAX of ``chunks`` (at least one) in turn, over and over.

    They take the time that they took, but for quiet stretches, and the last one that stays.
    """
    shown = chunks[-FRAMES_MAX:]
    gaps = [after.tick - before.tick for before, after in itertools.pairwise(shown)]
    durations = [min(round(gap * TICK_SECONDS * 1000), STILL_MS_MAX) for gap in gaps]
    try:
        first, *others = _frames(shown)
        first.save(
            path,
            "GIF",
            save_all=True,
            append_images=others,
            duration=[*durations, STILL_MS_MAX],
            loop=0,
        )
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> Misconfigured:
    return Misconfigured(f"{path} cannot be written ({error.strerror or error})")


def _frames(chunks: Sequence[Chunk]) -> Iterator[Image.Image]:
    """Yield them with one palette, so that nothing flickers and everybody has their colour."""
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for colour in _palette() for part in colour])
    for chunk in chunks:
        yield _draw(chunk).quantize(palette=palette, dither=Image.Dither.NONE)


def _palette() -> Iterator[tuple[int, ...]]:
    """Yield every colour, and those in between that the edges of letters are drawn in."""
    yield from _GROUNDS.values()
    for colour in (_INK, *_COLOURS):
        for step in range(_BLENDS + 1):
            pairs = zip(_PAPER, colour, strict=True)
            yield tuple(dark + (light - dark) * step // _BLENDS for dark, light in pairs)


def _draw(chunk: Chunk) -> Image.Image:
    image = _land(chunk).copy()
    pen = ImageDraw.Draw(image)
    crowd = [chunk.agents[id] for id in sorted(chunk.agents)]
    for agent in crowd:
        _draw_way(pen, chunk, agent)
    for agent in crowd:
        _draw_agent(pen, chunk, agent)
    _draw_title(pen, chunk)
    return image


def _land(chunk: Chunk) -> Image.Image:
    return _ground(terrain_of(chunk.seed, chunk.id, chunk.generation).rows)


@lru_cache(maxsize=2)
def _ground(rows: tuple[str, ...]) -> Image.Image:
    image = Image.new("RGB", (_SIDE, TITLE + _SIDE), _PAPER)
    pen = ImageDraw.Draw(image)
    for line, row in enumerate(rows):
        for column, ground in enumerate(row):
            x, y = column * CELL, TITLE + line * CELL
            pen.rectangle((x, y, x + CELL - 2, y + CELL - 2), _GROUNDS[ground])
    return image


def _draw_way(pen: ImageDraw.ImageDraw, chunk: Chunk, agent: Agent) -> None:
    if isinstance(agent.doing, Walking) and agent.transfer is None:
        x, y = agent.x, agent.y
        way = [_middle(chunk, x, y)]
        for step in agent.doing.path[max(0, chunk.tick + 1 - agent.doing.start) :]:
            x, y = x + STEPS[step][0], y + STEPS[step][1]
            way.append(_middle(chunk, x, y))
        pen.line(way, _colour(agent), 2)


def _draw_agent(pen: ImageDraw.ImageDraw, chunk: Chunk, agent: Agent) -> None:
    middle = _middle(chunk, agent.x, agent.y)
    pen.circle(middle, CELL * 0.6, _colour(agent), _PAPER)
    pen.text(middle, (agent.name or agent.id)[:2], _PAPER, _font(10), anchor="mm")


def _draw_title(pen: ImageDraw.ImageDraw, chunk: Chunk) -> None:
    """Over the ends of ways that lead out at the top."""
    pen.rectangle((0, 0, _SIDE, TITLE - 1), _PAPER)
    here = f"{len(chunk.agents)} here"
    title = f"chunk {chunk.id}    generation {chunk.generation}    tick {chunk.tick}    {here}"
    pen.text((8, TITLE // 2), title, _INK, _font(13), anchor="lm")


def _middle(chunk: Chunk, x: int, y: int) -> tuple[float, float]:
    land = terrain_of(chunk.seed, chunk.id, chunk.generation)
    return ((x - land.x0 + 0.5) * CELL, TITLE + (y - land.y0 + 0.5) * CELL)


def _colour(agent: Agent) -> tuple[int, int, int]:
    return _COLOURS[sum(agent.id.encode()) % len(_COLOURS)]


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
