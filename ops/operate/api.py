"""The operators' API, as the terminal calls it: one method a call, and our three words for trouble.

It knows where the API is and with which token, and nothing of what is asked. What the operator can
mend (no token, another role, nobody of that name) is Misconfigured; what may pass, Unavailable.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx

from common.errors import InDoubt, Misconfigured, Unavailable

CALL_SECONDS_MAX = 30.0  # A gateway answers within two of its own deadlines.

Answer = dict[str, Any]


@attrs.frozen
class Access:
    """Where the API is, and the token to call it with."""

    url: str
    token: str = attrs.field(repr=False)


@asynccontextmanager
async def open_api(access: Access) -> AsyncIterator[Api]:
    headers = {"Authorization": f"Bearer {access.token}"}
    async with httpx.AsyncClient(
        base_url=access.url, headers=headers, timeout=CALL_SECONDS_MAX, trust_env=False
    ) as http:
        yield Api(http, access.url)


@attrs.frozen(eq=False)
class Api:
    _http: httpx.AsyncClient
    _url: str

    async def get(self, path: str, **query: str | int | None) -> Answer:
        given = {name: str(value) for name, value in query.items() if value is not None}
        return await self.call("GET", path, params=given)

    async def items(self, path: str, limit: int | None, **query: str | None) -> list[Answer]:
        """The first ``limit`` items of a list, page by page; all of them if None."""
        items: list[Answer] = []
        cursor: str | None = None
        while limit is None or len(items) < limit:
            size = 500 if limit is None else min(limit - len(items), 500)
            page = await self.get(path, limit=size, cursor=cursor, **query)
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        return items

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return the answer, {} if it has none."""
        try:
            response = await self._http.request(method, path, json=body, params=params)
        except httpx.ConnectError as error:
            raise Unavailable(f"no gateway answers at {self._url}: {error}") from error
        except httpx.TransportError as error:
            why = str(error) or type(error).__name__
            raise InDoubt(f"{self._url} did not answer to the end: {why}") from error
        if response.is_success:
            answer: Answer = response.json() if response.content else {}
            return answer
        raise _trouble(response, f"{method} {path}")


def _trouble(response: httpx.Response, what: str) -> Exception:
    try:
        problem = response.json()
        code, detail = problem["code"], problem["detail"]
        trace = problem["trace_id"]
    except (ValueError, KeyError, TypeError):
        return Unavailable(f"{what}: answered {response.status_code}, by no gateway of Tessera's")
    faults = "; ".join(f"{each['path']} {each['message']}" for each in problem.get("errors", ()))
    said = f"{what}: {code}: {detail}{f' ({faults})' if faults else ''}"
    if response.status_code >= 500:
        return Unavailable(f"{said} (trace {trace})")
    return Misconfigured(said)
