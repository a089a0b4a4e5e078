"""The HTTP side of an agent's life: sign up, and open a session.

It keeps nothing: who holds the API key is the caller's business (see ``keyring``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import attrs
import httpx

from common import wire
from common.challenge import decode_base64url
from common.grid import AgentId, SessionId

HTTP_SECONDS_MAX = 10.0  # The server answers in milliseconds, or 503 within this.

T = TypeVar("T")


class Refused(Exception):
    """The server said no to an HTTP call; ``retry_after_ms`` when it was one too many."""

    def __init__(self, status: int, code: str, detail: str, retry_after_ms: int | None) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.retry_after_ms = retry_after_ms


@attrs.frozen
class Credentials:
    """Who an agent is. The API key is shown once, at sign-up."""

    agent_id: AgentId
    name: str
    api_key: str = attrs.field(repr=False)


@attrs.frozen
class Ticket:
    """An open session, with all that a connection needs to prove its commands."""

    session_id: SessionId
    session_token: str = attrs.field(repr=False)
    challenge_secret: str = attrs.field(repr=False)
    resume_token: str = attrs.field(repr=False)
    ws_path: str
    scopes: list[str]

    @property
    def secret(self) -> bytes:
        return decode_base64url(self.challenge_secret)


async def sign_up(http: httpx.AsyncClient, name: str) -> Credentials:
    """Make a new agent called ``name``. Raises Refused (``name_taken``, ``rate_limited``, ...)."""
    return _read(await http.post("/v1/signup", json={"name": name}), Credentials)


async def open_session(
    http: httpx.AsyncClient, api_key: str, scopes: Iterable[str] | None = None
) -> Ticket:
    """Open a session, which ends the agent's one before. Raises Refused."""
    body = {} if scopes is None else {"scopes": list(scopes)}
    answer = await http.post("/v1/sessions", json=body, headers=_bearer(api_key))
    return _read(answer, Ticket)


async def end_session(http: httpx.AsyncClient, ticket: Ticket) -> None:
    """End the session; the agent leaves the world. A session that is over already is fine."""
    await http.delete("/v1/sessions/current", headers=_bearer(ticket.session_token))


def open_http(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=HTTP_SECONDS_MAX, trust_env=False)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _read(answer: httpx.Response, kind: type[T]) -> T:
    if answer.is_success:
        return wire.structure_leniently(wire.parse(answer.content), kind)
    raise refusal_of(answer)


@attrs.frozen
class _Problem:
    status: int = 0
    code: str = "unknown"
    detail: str = ""
    retry_after_ms: int | None = None


def refusal_of(answer: httpx.Response) -> Refused:
    try:
        problem = wire.structure_leniently(wire.parse(answer.content), _Problem)
    except wire.Malformed:
        problem = _Problem(detail=answer.text[:200])
    after_ms = problem.retry_after_ms or _retry_after_ms(answer)
    return Refused(answer.status_code, problem.code, problem.detail, after_ms)


def _retry_after_ms(answer: httpx.Response) -> int | None:
    """What a proxy in between says, which knows no field of ours."""
    seconds = answer.headers.get("retry-after", "")
    return int(seconds) * 1000 if seconds.isascii() and seconds.isdecimal() else None
