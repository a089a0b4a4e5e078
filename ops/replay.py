"""``tessera replay``: show a chunk as it was at a tick, and say whether it is what was stored.

It only reads, also while the world runs: nobody's chunk is taken. What is kept of a chunk goes
back some minutes (PAST_SNAPSHOTS_MAX).
"""

from __future__ import annotations

from collections import deque
from pathlib import Path

import attrs
import trio_asyncio
from rich.console import Console
from rich.text import Text

from common.adapters.postgres import open_postgres
from common.adapters.postgres_history import read_history
from common.adapters.postgres_rows import read_world
from common.errors import Misconfigured, Unavailable
from common.grid import ChunkId, Tick, chunk_coordinates
from common.journal import History
from common.replica import replica_of
from common.settings import Settings
from ops.picture import FRAMES_MAX, save_gif, save_png
from ops.rebuild import Rebuilding
from ops.watch import draw_chunk
from shard.world.show import static_of
from shard.world.state import Chunk


@attrs.frozen
class Wish:
    """``at`` is None for the last tick that is known of."""

    chunk: ChunkId
    at: Tick | None = None
    png: Path | None = None
    gif: Path | None = None


def database_url(settings: Settings, data: Path) -> str:
    """DATABASE_URL, or that of the server of the ``tessera up`` that runs on ``data``."""
    if settings.database_url is not None:
        return settings.database_url
    from ops.embedded import postgres
    from ops.up import run_folder

    try:
        running = run_folder.read(data / "run", "postgres", 0)
    except OSError as error:
        raise Misconfigured(
            f"the data folder {data} cannot be read ({error.strerror});"
            " be the user who started tessera up, or name another folder with --data"
        ) from None
    if running is None or running.port is None:
        raise Misconfigured(
            f"no PostgreSQL to read from: start tessera up with --data {data},"
            " name another folder with --data, or set DATABASE_URL"
        )
    return postgres.url_of(data / "postgres", running.port)


async def replay(url: str, wish: Wish, console: Console) -> bool:
    """Show what ``wish`` says; return whether all that was stored came out again."""
    history, seed = await _read(url, wish.chunk)
    until = history.last if wish.at is None else wish.at
    if until < history.first:
        raise Misconfigured(
            f"{wish.chunk} at tick {until} is no longer kept:"
            f" --at-tick goes back to {history.first}, and {history.last} is the last"
        )
    rebuilding = Rebuilding(history, seed)
    frames = deque(rebuilding.ticks(until), maxlen=FRAMES_MAX)
    if frames:
        _show(frames[-1], until, history, console)
        if wish.png is not None:
            save_png(wish.png, frames[-1])
        if wish.gif is not None:
            save_gif(wish.gif, tuple(frames))
    return _judge(rebuilding, until, console)


async def _read(url: str, chunk: ChunkId) -> tuple[History, int]:
    """Return what is kept, and the world's seed."""
    try:
        chunk_coordinates(chunk)
    except ValueError:
        raise Misconfigured(f"--chunk {chunk}: write it as 0:0 or -3:12") from None
    async with trio_asyncio.open_loop(), open_postgres(url, connections_max=1) as postgres:
        try:
            world = await read_world(postgres)
            history = await read_history(postgres, chunk)
        except Unavailable as error:
            raise Misconfigured(f"{error}; is it running, and is DATABASE_URL right?") from error
        if history is None:
            raise Misconfigured(f"nobody was ever in {chunk}: there is nothing to replay")
        return history, world.seed


def _show(chunk: Chunk, until: Tick, history: History, console: Console) -> None:
    console.print(draw_chunk(replica_of(static_of(chunk))), soft_wrap=True)
    _say(console, f"chunk {chunk.id}   tick {chunk.tick}   {len(chunk.agents)} here")
    if chunk.tick < until:
        _say(console, f"It cannot be rebuilt beyond tick {chunk.tick}.")
    elif until > history.last:
        _say(console, f"Beyond tick {history.last}: as it goes on if nobody says anything.")


def _judge(rebuilding: Rebuilding, until: Tick, console: Console) -> bool:
    if rebuilding.differences:
        _say(console, f"{rebuilding.history.chunk}: {rebuilding.differences[0]}", "bold red")
        return False
    _say(
        console,
        f"Ticks {rebuilding.history.first} to {until} with {rebuilding.heard} inputs:"
        f" all {rebuilding.compared} digests are as they were stored.",
    )
    return True


def _say(console: Console, line: str, style: str = "") -> None:
    """Print ``line`` as it is: one line, and what it quotes is no markup."""
    console.print(Text(line, style), soft_wrap=True)
