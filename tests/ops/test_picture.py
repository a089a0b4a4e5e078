from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from PIL import Image

from common.errors import Misconfigured
from common.grid import Tick
from ops.picture import CELL, FRAMES_MAX, STILL_MS_MAX, TITLE, save_gif, save_png
from shard.world.state import Chunk
from tests.ops.life import FLOOR, Life, a_life


def a_crowd(tick: int) -> Chunk:
    return a_life().was[Tick(tick)]


def colour_at(image: Image.Image, x: int, y: int) -> object:
    """At the foot of the cell, below the letters of whoever stands there."""
    return image.convert("RGB").getpixel((x * CELL + CELL // 2, TITLE + y * CELL + CELL - 3))


def test_an_agent_is_drawn_where_it_stands_and_nowhere_else(tmp_path: Path) -> None:
    chunk = a_crowd(2)  # Nobody walks yet, so there are no ways.
    save_png(tmp_path / "crowd.png", chunk)
    save_png(tmp_path / "empty.png", attrs.evolve(chunk, agents={}))
    crowd, empty = Image.open(tmp_path / "crowd.png"), Image.open(tmp_path / "empty.png")
    assert crowd.format == "PNG"
    stand = {(agent.x, agent.y) for agent in chunk.agents.values()}
    assert {s for s in FLOOR if colour_at(crowd, *s) != colour_at(empty, *s)} == stand


def test_a_walker_has_its_way_before_it(tmp_path: Path) -> None:
    chunk = a_crowd(10)
    still = {id: attrs.evolve(agent, doing=None) for id, agent in chunk.agents.items()}
    save_png(tmp_path / "walking.png", chunk)
    save_png(tmp_path / "standing.png", attrs.evolve(chunk, agents=still))
    walking, standing = Image.open(tmp_path / "walking.png"), Image.open(tmp_path / "standing.png")
    # The way ends where the goal is.
    goal = FLOOR[-1]
    middle = ((goal[0] + 0.5) * CELL, TITLE + (goal[1] + 0.5) * CELL - 2)
    here = (int(middle[0]), int(middle[1]))
    assert walking.getpixel(here) != standing.getpixel(here)


def test_each_tick_is_shown_for_as_long_as_it_took(tmp_path: Path) -> None:
    was = a_life().was
    still = attrs.evolve(was[Tick(14)], tick=Tick(10_000))
    save_gif(tmp_path / "a.gif", [*(was[Tick(tick)] for tick in (10, 11, 12, 14)), still])
    with Image.open(tmp_path / "a.gif") as film:
        durations = []
        for frame in range(getattr(film, "n_frames", 1)):
            film.seek(frame)
            durations.append(film.info["duration"])
        assert durations == [200, 200, 400, STILL_MS_MAX, STILL_MS_MAX]
        assert film.info["loop"] == 0


def test_who_comes_later_has_the_same_colours_in_a_film(tmp_path: Path) -> None:
    chunk = a_crowd(2)
    save_png(tmp_path / "a.png", chunk)
    save_gif(tmp_path / "a.gif", [attrs.evolve(chunk, agents={}), chunk])
    with Image.open(tmp_path / "a.png") as picture, Image.open(tmp_path / "a.gif") as film:
        film.seek(1)
        for agent in chunk.agents.values():
            spot = (agent.x, agent.y)
            assert colour_at(film, *spot) == colour_at(picture, *spot)


def test_a_long_run_is_shown_from_a_minute_before_its_end(tmp_path: Path) -> None:
    life = Life()
    ticks = [attrs.evolve(life.chunk, tick=Tick(tick)) for tick in range(FRAMES_MAX + 20)]
    save_gif(tmp_path / "a.gif", ticks)
    with Image.open(tmp_path / "a.gif") as film:
        assert getattr(film, "n_frames", 1) == FRAMES_MAX


def test_a_single_tick_is_a_film_too(tmp_path: Path) -> None:
    save_gif(tmp_path / "a.gif", [a_crowd(2)])
    with Image.open(tmp_path / "a.gif") as film:
        assert film.size == (50 * CELL, 50 * CELL + TITLE)


def test_a_place_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    for save in (save_png, lambda path, chunk: save_gif(path, [chunk])):
        with pytest.raises(Misconfigured, match=r"no/such\.file cannot be written"):
            save(tmp_path / "no" / "such.file", a_crowd(2))
