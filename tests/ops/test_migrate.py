"""Migrations are applied once, in order, and never to a database that is not ours to touch."""

from __future__ import annotations

from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
import trio
import trio_asyncio
from trio_asyncio import aio_as_trio

from common.adapters.postgres import connect
from common.errors import Misconfigured
from common.topology import Topology
from ops.migrate import ask_shard_count, migrate, set_shard_count, steps

pytestmark = pytest.mark.embedded


@pytest.fixture
async def empty_url(postgres_url: str, template_url: str) -> str:
    """A database with nothing in it. (``template_url`` is asked for: then the server is up.)"""
    name = f"empty_{uuid4().hex}"
    await ask(postgres_url, f"create database {name}")
    return urlsplit(postgres_url)._replace(path=f"/{name}").geturl()


async def ask(url: str, query: str) -> list[asyncpg.Record]:
    async with trio_asyncio.open_loop():
        connection = await connect(url)
        try:
            rows: list[asyncpg.Record] = await aio_as_trio(connection.fetch)(query)
            return rows
        finally:
            connection.terminate()


async def test_an_empty_database_gets_every_step_in_order(empty_url: str) -> None:
    names = [step.name for step in steps()]
    assert names == sorted(names)
    assert await migrate(empty_url) == names
    assert [step.version for step in steps()] == list(range(1, len(names) + 1))


async def test_a_second_time_there_is_nothing_to_do(empty_url: str) -> None:
    await migrate(empty_url, seed=1)
    (world,) = await ask(empty_url, "select id, seed from world")
    assert await migrate(empty_url, seed=2) == []
    assert await ask(empty_url, "select id, seed from world") == [world]


async def test_the_world_grows_from_the_given_seed_or_a_random_one(
    empty_url: str, database_url: str
) -> None:
    await migrate(empty_url)
    ((random_seed,),) = await ask(empty_url, "select seed from world")
    ((given_seed,),) = await ask(database_url, "select seed from world")
    assert 0 <= random_seed < 2**63
    assert random_seed != given_seed == 7


async def test_many_may_migrate_at_once(empty_url: str) -> None:
    applied: list[list[str]] = []

    async def run() -> None:
        applied.append(await migrate(empty_url))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(run)
    assert sorted(map(len, applied)) == [0, 0, 0, len(steps())]


async def test_a_database_of_a_newer_version_is_left_alone(database_url: str) -> None:
    await ask(
        database_url,
        "insert into schema_version (version, name, checksum) values (999, '0999_x.sql', '')",
    )
    with pytest.raises(Misconfigured, match=r"newer version \(schema 999.* upgrade tessera"):
        await migrate(database_url)


async def test_a_step_that_was_changed_since_is_found_out(database_url: str) -> None:
    await ask(database_url, "update schema_version set checksum = 'other' where version = 2")
    with pytest.raises(Misconfigured, match=r"another 0002_world\.sql"):
        await migrate(database_url)


async def test_a_step_that_fails_leaves_the_ones_before(empty_url: str) -> None:
    await ask(empty_url, "create table world (in_the_way int)")
    with pytest.raises(asyncpg.DuplicateTableError):
        await migrate(empty_url)
    rows = await ask(empty_url, "select version from schema_version")
    assert [row["version"] for row in rows] == [1]
    await ask(empty_url, "drop table world")
    assert len(await migrate(empty_url)) == len(steps()) - 1


async def test_a_server_that_is_not_there_is_said_in_one_line() -> None:
    with pytest.raises(Misconfigured, match="is it running") as refused:
        await migrate("postgresql://postgres@127.0.0.1:1/postgres")
    assert "\n" not in str(refused.value)


async def test_a_wrong_address_is_said_in_one_line() -> None:
    with pytest.raises(Misconfigured, match="DATABASE_URL"):
        await migrate("mysql://localhost/")


async def test_a_new_shard_count_is_a_new_epoch(database_url: str) -> None:
    assert await set_shard_count(database_url, 3) == Topology(epoch=2, shard_count=3)
    assert await set_shard_count(database_url, 3) == Topology(epoch=2, shard_count=3)
    assert await set_shard_count(database_url, 2) == Topology(epoch=3, shard_count=2)


async def test_another_shard_count_is_asked_for_and_not_yet_in_force(database_url: str) -> None:
    """Who takes the slots puts it in force, so that a world that runs goes on meanwhile."""
    asked = await ask_shard_count(database_url, 4)
    again = await ask_shard_count(database_url, 4)

    assert asked == again == Topology(2, 4)
    assert await set_shard_count(database_url, 1) == Topology(1, 1)
