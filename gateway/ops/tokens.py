"""Operators' tokens: make one, list them, revoke one. Only admins do.

A secret is shown once, when it is made; only its hash is kept. A revoked token is refused from the
next call on, also the one that revoked itself. Who has a whole token and not its id, because it has
leaked, revokes it by that.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

import attrs
from msgspec import Meta

from common.limits import KEY_SECONDS_MAX
from common.operators import OperatorToken, Role
from common.times import timestamp
from common.tokens import Kind, id_in, new_id, new_token
from gateway.http.grants import Time, time_or_none
from gateway.http.keys import Label
from gateway.http.problems import Problem
from gateway.http.route import Ask, Done, Route
from gateway.ops.callers import ADMIN
from gateway.ops.record import recorded

_TOKEN_ID = re.compile(r"[0-9A-Za-z]{1,64}")


@attrs.frozen
class MakeToken:
    role: Role
    label: Label | None = None
    expires_in_s: Annotated[int, Meta(ge=1, le=KEY_SECONDS_MAX)] | None = None


@attrs.frozen
class MadeToken:
    token_id: str
    token: str = attrs.field(repr=False)
    role: Role
    expires_at: Time | None


@attrs.frozen
class ListedToken:
    token_id: str
    role: Role
    label: str
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None


@attrs.frozen
class ListedTokens:
    """All of them, oldest first, the revoked and expired ones too: there is one page."""

    items: list[ListedToken]
    next_cursor: str | None


async def make_token(ask: Ask[OperatorToken, MakeToken]) -> MadeToken:
    outside, now = ask.outside, ask.outside.clock.now()
    life = ask.body.expires_in_s
    expires_at = None if life is None else now + timedelta(seconds=life)
    token = new_token(Kind.OPERATOR, ask.named)
    hashed = outside.settings.hashing_keys.hash(token)
    label = ask.body.label or ""
    await outside.operators.add_token(
        OperatorToken(token.id, hashed, ask.body.role, label, now, expires_at)
    )
    return MadeToken(token.id, token.text, ask.body.role, time_or_none(expires_at))


def _with_new_id(ask: Ask[OperatorToken, MakeToken]) -> Ask[OperatorToken, MakeToken]:
    return attrs.evolve(ask, named=new_id())


def _with_id(ask: Ask[OperatorToken, None]) -> Ask[OperatorToken, None]:
    return attrs.evolve(ask, named=id_in(Kind.OPERATOR, ask.named))


async def list_tokens(ask: Ask[OperatorToken, None]) -> ListedTokens:
    return ListedTokens([_listed(token) for token in await ask.outside.operators.tokens()], None)


def _listed(token: OperatorToken) -> ListedToken:
    return ListedToken(
        token.token_id,
        token.role,
        token.label,
        timestamp(token.created_at),
        time_or_none(token.expires_at),
        time_or_none(token.revoked_at),
    )


async def revoke_token(ask: Ask[OperatorToken, None]) -> Done | Problem:
    now = ask.outside.clock.now()
    if not _TOKEN_ID.fullmatch(ask.named) or not await ask.outside.operators.revoke(ask.named, now):
        return Problem("not_found", "There is no operator's token of that id.")
    return Done()


ROUTES = (
    Route(
        "GET",
        "/ops/tokens",
        "List operators' tokens, without their secrets",
        ADMIN,
        type(None),
        list_tokens,
        answers={ListedTokens: 200},
    ),
    recorded(
        Route(
            "POST",
            "/ops/tokens",
            "Make another operator's token",
            ADMIN,
            MakeToken,
            make_token,
            answers={MadeToken: 201},
        ),
        target=lambda ask: f"{ask.body.role} {ask.named}",
        naming=_with_new_id,
    ),
    recorded(
        Route(
            "DELETE",
            "/ops/tokens/{token_id}",
            "Revoke an operator's token",
            ADMIN,
            type(None),
            revoke_token,
            answers={Done: 204},
            refusals=("not_found",),
        ),
        naming=_with_id,
    ),
)
