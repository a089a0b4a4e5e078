"""Make an operator's token in the database itself: the first one, or after all were lost.

It is on record like every other deed, with the actor ``terminal``. The hashing key is that of the
environment, which must be the gateways'.
"""

from __future__ import annotations

import os
import secrets
import socket
from datetime import timedelta
from pathlib import Path

import trio_asyncio

from common.adapters.clock import SystemClock
from common.adapters.postgres import open_postgres
from common.adapters.postgres_operators import PostgresOperators
from common.errors import Misconfigured
from common.operators import TERMINAL, Call, OperatorToken, Outcome, Role
from common.tokens import HashingKeys, Kind, new_token, parse_token
from ops.operate.access import read_token
from ops.up.run_folder import TOKEN_FILE

_CREATED = Outcome(201, "ok")


async def make_token(
    database_url: str,
    hashing: HashingKeys,
    role: Role,
    label: str = "",
    life: timedelta | None = None,
) -> str:
    async with (
        trio_asyncio.open_loop(),
        open_postgres(database_url, connections_max=1) as postgres,
    ):
        return await _make(PostgresOperators(postgres), hashing, role, label, life)


async def _make(
    operators: PostgresOperators,
    hashing: HashingKeys,
    role: Role,
    label: str,
    life: timedelta | None,
) -> str:
    now, token = SystemClock().now(), new_token(Kind.OPERATOR)
    target = f"{role} {token.id}"  # As the API has it.
    call = Call(now, TERMINAL, None, "tessera ops token", target, secrets.token_hex(16))
    id = await operators.note(call, None)
    until = None if life is None else now + life
    kept = OperatorToken(token.id, hashing.hash(token), role, label, now, until)
    await operators.add_token(kept)
    await operators.conclude(id, _CREATED)
    return token.text


async def keep_token(database_url: str, hashing: HashingKeys, folder: Path) -> None:
    """Have an admin's token in ``folder``, for whoever may read its owner's files.

    The one that is there stays while it is good. What else was made for this folder is revoked.
    """
    async with (
        trio_asyncio.open_loop(),
        open_postgres(database_url, connections_max=1) as postgres,
    ):
        operators = PostgresOperators(postgres)
        if await _is_good(folder / TOKEN_FILE, operators, hashing):
            return
        label = f"tessera up on {socket.gethostname()} in {folder.parent}"
        now = SystemClock().now()
        for token in await operators.tokens():
            if token.label == label and token.is_live(now):
                await operators.revoke(token.token_id, now)
        _write(folder / TOKEN_FILE, await _make(operators, hashing, Role.ADMIN, label, None))


async def _is_good(path: Path, operators: PostgresOperators, hashing: HashingKeys) -> bool:
    try:
        token = parse_token(Kind.OPERATOR, read_token(path))
    except Misconfigured:
        return False
    assert token is not None
    kept = await operators.token(token.id)
    return (
        kept is not None
        and kept.role is Role.ADMIN
        and kept.is_live(SystemClock().now())
        and hashing.is_current(token, kept.secret_hash)
        and _is_private(path)
    )


def _is_private(path: Path) -> bool:
    return path.stat().st_mode & 0o777 == 0o600


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and never to be read by others."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
    draft.replace(path)
