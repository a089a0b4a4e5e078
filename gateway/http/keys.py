"""API keys: make another, list them, revoke one, which also ends its sessions.

A key can make no stronger key: neither with more scopes, nor with a longer life. Secrets are
shown once, when they are made; only their hashes are kept.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

import attrs
from msgspec import Meta

from common.accounts import ApiKey, Scope
from common.limits import KEY_SECONDS_MAX, LABEL_CHARACTERS_MAX
from common.times import timestamp
from common.tokens import Kind, new_token
from gateway.http.callers import key_holder
from gateway.http.ending import end_sessions
from gateway.http.grants import Scopes, Time, earliest, granted, listed, time_or_none
from gateway.http.limiting import refuse_if_over
from gateway.http.problems import Problem
from gateway.http.route import Ask, Done, Route

# No control characters: a label ends up in lists on terminals, and PostgreSQL keeps no NUL.
Label = Annotated[
    str, Meta(max_length=LABEL_CHARACTERS_MAX, pattern=r"^[^\u0000-\u001f\u007f-\u009f]*(?!\n)$")
]
_KEY_ID = re.compile(r"[0-9A-Za-z]{1,64}")


@attrs.frozen
class MakeKey:
    label: Label | None = None
    expires_in_s: Annotated[int, Meta(ge=1, le=KEY_SECONDS_MAX)] | None = None
    scopes: Scopes | None = None


@attrs.frozen
class MadeKey:
    key_id: str
    api_key: str = attrs.field(repr=False)
    scopes: list[Scope]
    expires_at: Time | None


@attrs.frozen
class ListedKey:
    key_id: str
    label: str
    scopes: list[Scope]
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None
    revoked_at: Time | None


@attrs.frozen
class Keys:
    """Oldest first, the revoked and expired ones too."""

    keys: list[ListedKey]


async def make_key(ask: Ask[ApiKey, MakeKey]) -> MadeKey | Problem:
    scopes = granted(ask.body.scopes, ask.caller.scopes)
    if isinstance(scopes, Problem):
        return scopes
    count = ask.outside.settings.keys_per_hour
    if limited := await refuse_if_over(ask.outside, "key", ask.caller.agent, count, 3600):
        return limited
    now = ask.outside.clock.now()
    life = ask.body.expires_in_s
    asked = None if life is None else now + timedelta(seconds=life)
    expires_at = earliest(asked, ask.caller.expires_at)
    token = new_token(Kind.API_KEY)
    label = ask.body.label or ""
    hashed = ask.outside.settings.hashing_keys.hash(token)
    key = ApiKey(token.id, ask.caller.agent, hashed, label, scopes, now, expires_at)
    await ask.outside.accounts.add_key(key)
    return MadeKey(token.id, token.text, listed(scopes), time_or_none(expires_at))


async def list_keys(ask: Ask[ApiKey, None]) -> Keys:
    return Keys([_listed(key) for key in await ask.outside.accounts.keys(ask.caller.agent)])


def _listed(key: ApiKey) -> ListedKey:
    return ListedKey(
        key_id=key.key_id,
        label=key.label,
        scopes=listed(key.scopes),
        created_at=timestamp(key.created_at),
        expires_at=time_or_none(key.expires_at),
        last_used_at=time_or_none(key.last_used_at),
        revoked_at=time_or_none(key.revoked_at),
    )


async def revoke_key(ask: Ask[ApiKey, None]) -> Done | Problem:
    """Revoke any of the agent's keys, also the last one and the one that is used for this."""
    outside, agent = ask.outside, ask.caller.agent
    if not _KEY_ID.fullmatch(ask.named):
        return _no_such_key()
    ended = await outside.accounts.revoke(agent, ask.named, outside.clock.now())
    if ended is None:
        return _no_such_key()
    await end_sessions(outside, agent, ended)
    return Done()


def _no_such_key() -> Problem:
    return Problem("not_found", "This agent has no key of that id.")


ROUTES = (
    Route(
        "POST",
        "/v1/keys",
        "Make another API key",
        key_holder,
        MakeKey,
        make_key,
        answers={MadeKey: 201},
        refusals=("scope_missing", "rate_limited"),
    ),
    Route(
        "GET",
        "/v1/keys",
        "List the agent's API keys, without their secrets",
        key_holder,
        type(None),
        list_keys,
        answers={Keys: 200},
    ),
    Route(
        "DELETE",
        "/v1/keys/{key_id}",
        "Revoke an API key and end its sessions",
        key_holder,
        type(None),
        revoke_key,
        answers={Done: 204},
        refusals=("not_found",),
    ),
)
