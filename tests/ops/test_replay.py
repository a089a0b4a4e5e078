"""``tessera replay``: what it shows, what it finds, and how it ends when it can do neither."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from subprocess import DEVNULL

import attrs
import pytest
import trio
import trio_asyncio
from PIL import Image
from rich.console import Console

import ops.replay
from common.adapters.postgres import open_postgres
from common.adapters.postgres_journal import PostgresJournal
from common.errors import Misconfigured
from common.grid import AgentId, ChunkId, SessionId, Tick
from common.journal import Retired, Row
from common.settings import Settings
from ops.replay import Wish, replay
from ops.up import run_folder
from ops.up.run_folder import Running
from shard.world.codec import digest, encode_input, new_chunk
from shard.world.idle import skip_to
from shard.world.inputs import Enter
from tests.ops.life import CHUNK, SEED, a_life

EVE = SessionId("ses_eve")


@pytest.fixture
async def url(database_url: str) -> str:
    """Of a database with a life in it: ticks 1 to 60, saved at 10 and 40; see ``a_life``."""
    life = a_life()
    async with trio_asyncio.open_loop(), open_postgres(database_url) as postgres:
        await postgres.write("setting the seed", "update world set seed = $1", SEED)
        journal = PostgresJournal(postgres)
        (taken,) = await journal.take([CHUNK], "shard-1")
        await journal.commit([attrs.evolve(row, epoch=taken.epoch) for row in life.rows])
        for snapshot in life.snapshots:
            await journal.save([attrs.evolve(snapshot, epoch=taken.epoch)], frozenset())
    return database_url


async def execute(url: str, statement: str) -> None:
    async with trio_asyncio.open_loop(), open_postgres(url) as postgres:
        await postgres.write("a test", statement)


async def said(url: str, wish: Wish) -> tuple[bool, list[str]]:
    """Return the verdict, and what is printed in a terminal that is too narrow."""
    paper = io.StringIO()
    same = await replay(url, wish, Console(file=paper, width=40))
    return same, paper.getvalue().splitlines()


@pytest.mark.embedded
async def test_the_last_tick_is_shown_and_all_is_the_same(url: str) -> None:
    same, lines = await said(url, Wish(CHUNK))
    assert same
    *picture, _, title, verdict = lines
    assert [len(line) for line in picture] == [100] * 50
    assert sum(line.count("an") + line.count("bo") for line in picture) == 2
    assert title == "chunk 0:0   tick 60   2 here"
    assert verdict == "Ticks 10 to 60 with 3 inputs: all 4 digests are as they were stored."


@pytest.mark.embedded
async def test_a_changed_journal_row_is_named_by_its_tick(url: str) -> None:
    await execute(
        url,
        "update journal set body = convert_to("
        "replace(convert_from(body, 'UTF8'), 'hello again', 'farewell'), 'UTF8') where tick = 30",
    )
    same, lines = await said(url, Wish(CHUNK))
    assert not same
    assert lines[-1] == (
        "0:0: tick 30 differs: its input 0 was changed after it was written"
        " (tick 29 is still the same)"
    )


@pytest.mark.embedded
async def test_what_differs_after_the_tick_that_is_asked_for_is_not_looked_at(url: str) -> None:
    await execute(url, "update journal set digest = 'other' where tick = 30")
    same, lines = await said(url, Wish(CHUNK, at=Tick(28)))
    assert same
    assert lines[-2] == "chunk 0:0   tick 28   2 here"
    same, _ = await said(url, Wish(CHUNK, at=Tick(29)))
    assert not same


@pytest.mark.embedded
async def test_a_tick_that_cannot_be_made_again_is_where_it_ends(url: str) -> None:
    await execute(url, "update journal set checksum = 0 where tick = 60")
    same, lines = await said(url, Wish(CHUNK))
    assert not same
    assert "chunk 0:0   tick 59   2 here" in lines
    assert "It cannot be rebuilt beyond tick 59." in lines


@pytest.mark.embedded
async def test_a_tick_beyond_the_last_is_a_guess_and_called_so(url: str) -> None:
    same, lines = await said(url, Wish(CHUNK, at=Tick(1_000)))
    assert same
    assert "Beyond tick 60: as it goes on if nobody says anything." in lines


@pytest.mark.embedded
async def test_a_chunk_that_was_collected_is_shown_as_it_came_back(url: str) -> None:
    async with trio_asyncio.open_loop(), open_postgres(url) as postgres:
        journal = PostgresJournal(postgres)
        (taken,) = await journal.take([CHUNK], "shard-1")
        assert not await journal.collect([Retired(CHUNK, taken.epoch, Tick(500))])
    same, lines = await said(url, Wish(CHUNK))
    assert same
    assert lines[-2] == "chunk 0:0   tick 500   0 here"

    bare, enter = new_chunk(CHUNK, 2, SEED, Tick(500)), Enter(AgentId("eve"), EVE, "eve")
    before = skip_to(bare, Tick(519))
    async with trio_asyncio.open_loop(), open_postgres(url) as postgres:
        journal = PostgresJournal(postgres)
        (taken,) = await journal.take([CHUNK], "shard-2")
        row = Row(CHUNK, taken.epoch, Tick(520), 0, encode_input(enter), digest=digest(before))
        await journal.commit([row])
    same, lines = await said(url, Wish(CHUNK))
    assert same
    assert lines[-2:] == [
        "chunk 0:0   tick 520   1 here",
        "Ticks 500 to 520 with 1 inputs: all 1 digests are as they were stored.",
    ]
    assert lines[:50] != (await said(url, Wish(CHUNK, at=Tick(500))))[1][:50]
    with pytest.raises(Misconfigured, match="goes back to 500"):
        await said(url, Wish(CHUNK, at=Tick(60)))


EVERYTHING = """
select (select row(c, w) from chunk c, world w)::text, (select array_agg(s) from snapshot s)::text,
    (select array_agg(p) from past_snapshot p)::text, (select array_agg(j) from journal j)::text
"""


@pytest.mark.embedded
async def test_it_changes_nothing(url: str) -> None:
    async with trio_asyncio.open_loop(), open_postgres(url) as postgres:
        before = await postgres.read("a test", EVERYTHING)
        await said(url, Wish(CHUNK))
        assert await postgres.read("a test", EVERYTHING) == before


@pytest.mark.embedded
async def test_pictures_are_written(url: str, tmp_path: Path) -> None:
    png, gif = tmp_path / "a.png", tmp_path / "a.gif"
    await said(url, Wish(CHUNK, at=Tick(25), png=png, gif=gif))
    with Image.open(png) as picture, Image.open(gif) as film:
        assert (picture.format, film.format) == ("PNG", "GIF")
        assert getattr(film, "n_frames", 1) == 16  # Ticks 10 to 25.


def wrong(why: str) -> pytest.RaisesGroup[Misconfigured]:
    """As ``ops.command.run`` takes it out of its groups."""
    return pytest.RaisesGroup(pytest.RaisesExc(Misconfigured, match=why), flatten_subgroups=True)


@pytest.mark.embedded
async def test_what_is_not_kept_is_said(url: str) -> None:
    with wrong("nobody was ever in 9:9"):
        await said(url, Wish(ChunkId("9:9")))
    with pytest.raises(Misconfigured, match=r"0:0 at tick 9 is no longer kept: .* back to 10"):
        await said(url, Wish(CHUNK, at=Tick(9)))


async def test_a_chunk_that_is_written_otherwise_is_said() -> None:
    with pytest.raises(Misconfigured, match="--chunk zero: write it as 0:0"):
        await said("postgresql://nobody", Wish(ChunkId("zero")))


async def test_a_database_that_is_not_there_is_said() -> None:
    with wrong("is it running"):
        await said("postgresql://postgres@127.0.0.1:1/postgres", Wish(CHUNK))


# Where the database is


def test_database_url_comes_first(tmp_path: Path) -> None:
    found = ops.replay.database_url(Settings(database_url="postgresql://there/db"), tmp_path)
    assert found == "postgresql://there/db"


def test_a_running_tessera_up_is_found_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "password").write_text("hush")
    run_folder.write(tmp_path / "run", Running("postgres", 0, 42, 5433))
    found = ops.replay.database_url(Settings(), tmp_path)
    assert found == "postgresql://postgres:hush@127.0.0.1:5433/postgres"


def test_a_password_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    run_folder.write(tmp_path / "run", Running("postgres", 0, 42, 5433))
    with pytest.raises(Misconfigured, match="password"):
        ops.replay.database_url(Settings(), tmp_path)


def test_where_nothing_runs_it_ends_with_2_and_one_line(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    ended = subprocess.run(
        [sys.executable, "-m", "ops.cli", "replay", "--data", str(tmp_path)],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("tessera: no PostgreSQL to read from: start tessera up")
    assert ended.stderr.count("\n") == 1


@pytest.mark.embedded
async def test_it_ends_with_0_when_all_is_the_same_and_with_1_when_not(url: str) -> None:
    words = [sys.executable, "-m", "ops.cli", "replay", "--chunk", "0:0"]
    environment = {**os.environ, "DATABASE_URL": url}
    assert (await trio.run_process(words, env=environment, stdout=DEVNULL)).returncode == 0
    await execute(url, "update journal set checksum = 0 where tick = 30")
    ended = await trio.run_process(words, env=environment, stdout=DEVNULL, check=False)
    assert ended.returncode == 1
