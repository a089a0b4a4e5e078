"""Sign up: make an agent and its first API key, which is shown this once.

The agent does not enter the world yet; its first session does that.
"""

from __future__ import annotations

from typing import Annotated

import attrs
from msgspec import Meta

from common.accounts import ALL_SCOPES, Account, ApiKey, NameTaken
from common.grid import AgentId, ChunkId
from common.limits import NAME_CHARACTERS_MAX, SPAWN_CHUNK
from common.times import timestamp
from common.tokens import Kind, new_id, new_token
from gateway.http.callers import anybody
from gateway.http.grants import Time
from gateway.http.limiting import refuse_if_over
from gateway.http.problems import Problem
from gateway.http.route import Ask, Route

# Python's ``$`` also matches before a newline at the end, other dialects' does not.
Name = Annotated[str, Meta(pattern=rf"^[A-Za-z0-9_-]{{3,{NAME_CHARACTERS_MAX}}}(?!\n)$")]


@attrs.frozen
class SignUp:
    name: Name


@attrs.frozen
class SignedUp:
    agent_id: AgentId
    name: str
    api_key: str = attrs.field(repr=False)
    key_id: str
    created_at: Time


async def sign_up(ask: Ask[None, SignUp]) -> SignedUp | Problem:
    count = ask.outside.settings.signups_per_min
    if limited := await refuse_if_over(ask.outside, "signup", ask.address, count, 60):
        return limited
    now = ask.outside.clock.now()
    agent = AgentId(f"agt_{new_id()}")
    token = new_token(Kind.API_KEY)
    account = Account(agent, ask.body.name, now, ChunkId(SPAWN_CHUNK), x=None, y=None)
    hashed = ask.outside.settings.hashing_keys.hash(token)
    key = ApiKey(token.id, agent, hashed, label="", scopes=ALL_SCOPES, created_at=now)
    try:
        await ask.outside.accounts.create(account, key)
    except NameTaken:
        return Problem("name_taken", "An agent of that name exists. Choose another.")
    return SignedUp(agent, ask.body.name, token.text, token.id, timestamp(now))


ROUTES = (
    Route(
        "POST",
        "/v1/signup",
        "Make an agent and its first API key",
        anybody,
        SignUp,
        sign_up,
        answers={SignedUp: 201},
        refusals=("name_taken", "rate_limited"),
    ),
)
