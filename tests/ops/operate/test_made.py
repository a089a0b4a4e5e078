"""Tokens that are made in the database itself."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import trio_asyncio

from common.adapters.clock import SystemClock
from common.adapters.postgres import open_postgres
from common.adapters.postgres_operators import PostgresOperators
from common.operators import TERMINAL, OperatorToken, Outcome, Role
from common.tokens import HashingKeys, Kind, parse_token
from gateway.access import operator_of
from ops.operate.made import keep_token, make_token

pytestmark = pytest.mark.embedded

KEYS = HashingKeys(b"k" * 32)


@asynccontextmanager
async def operators_of(url: str) -> AsyncIterator[PostgresOperators]:
    async with trio_asyncio.open_loop(), open_postgres(url) as postgres:
        yield PostgresOperators(postgres)


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def is_good(url: str, text: str, hashing: HashingKeys = KEYS) -> bool:
    async with operators_of(url) as operators:
        found = await operator_of(text, operators, SystemClock(), hashing)
        return isinstance(found, OperatorToken)


async def test_a_token_is_good_for_its_life_and_on_record(database_url: str) -> None:
    text = await make_token(database_url, KEYS, Role.OPERATOR, "mine", timedelta(days=1))
    assert await is_good(database_url, text)
    assert not await is_good(database_url, text, HashingKeys())
    token = parse_token(Kind.OPERATOR, text)
    assert token is not None
    async with operators_of(database_url) as operators:
        kept = await operators.token(token.id)
        assert kept is not None
        assert (kept.role, kept.label) == (Role.OPERATOR, "mine")
        assert kept.expires_at == kept.created_at + timedelta(days=1)
        assert text.encode() not in kept.secret_hash
        (row,) = await operators.audit(None, 10)
    assert (row.call.actor, row.call.target) == (TERMINAL, f"operator {token.id}")
    assert row.outcome == Outcome(201, "ok")


async def test_the_token_of_a_folder_stays_while_it_is_good(
    database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "ops-token"
    await keep_token(database_url, KEYS, tmp_path)
    first = file.read_text().strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert await is_good(database_url, first)
    await keep_token(database_url, KEYS, tmp_path)
    assert file.read_text().strip() == first


@pytest.mark.parametrize("spoilt", ["nonsense", "revoked", "gone", "open", "rotated"])
async def test_one_that_is_not_good_any_more_is_replaced(
    database_url: str, tmp_path: Path, spoilt: str
) -> None:
    file, keys = tmp_path / "ops-token", KEYS
    await keep_token(database_url, KEYS, tmp_path)
    first = file.read_text().strip()
    match spoilt:
        case "nonsense":
            file.write_text("tso_nonsense")
        case "revoked":
            async with operators_of(database_url) as operators:
                await operators.revoke(first.split("_")[1], SystemClock().now())
        case "gone":
            file.unlink()
        case "open":
            file.chmod(0o644)
        case _:
            keys = HashingKeys(b"n" * 32, KEYS.current)
    await keep_token(database_url, keys, tmp_path)
    second = file.read_text().strip()
    assert second != first
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert await is_good(database_url, second, keys)
    assert not await is_good(database_url, first, keys), "there is one for a folder"
    assert names_in(tmp_path) == ["ops-token"]
