"""What the terminal makes of the API's answers; against a real server over memory adapters."""

from __future__ import annotations

import socket

import pytest

from common.errors import InDoubt, Misconfigured, Unavailable
from common.tokens import Kind, new_token
from ops.operate.api import Access, open_api
from tests.gateway.http.conftest import Live, live

__all__ = ["live"]


async def test_a_list_is_read_page_by_page(live: Live) -> None:
    async with open_api(Access(live.url, live.admin)) as api:
        for _ in range(3):
            await api.get("/ops/topology")
        rows = await api.items("/ops/audit", 2)
        assert len(rows) == 2
        everything = await api.items("/ops/audit", None)
        assert len(everything) >= 4
        assert len({row["id"] for row in everything}) == len(everything)


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("POST", "/ops/agents/none/kick", None, "not_found"),
        ("POST", "/ops/reshard", {"shard_count": 0}, r"validation_failed.*\$\.shard_count"),
    ],
)
async def test_a_refusal_says_what_and_why(
    live: Live, method: str, path: str, body: dict[str, int] | None, said: str
) -> None:
    async with open_api(Access(live.url, live.admin)) as api:
        with pytest.raises(Misconfigured, match=said):
            await api.call(method, path, body)


async def test_a_token_that_is_not_good_is_said(live: Live) -> None:
    async with open_api(Access(live.url, new_token(Kind.OPERATOR).text)) as api:
        with pytest.raises(Misconfigured, match="unauthorized"):
            await api.get("/ops/topology")


async def test_nobody_there_is_trouble_that_may_pass() -> None:
    async with open_api(Access("http://127.0.0.1:9", "")) as api:
        with pytest.raises(Unavailable, match="no gateway answers"):
            await api.get("/ops/topology")


async def test_an_answer_that_breaks_off_leaves_doubt() -> None:
    """Also of whoever is no gateway at all."""
    import trio

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"

        async def hang_up() -> None:
            connection, _ = await trio.to_thread.run_sync(listening.accept)
            connection.close()

        async with trio.open_nursery() as nursery, open_api(Access(url, "")) as api:
            nursery.start_soon(hang_up)
            with pytest.raises((InDoubt, Unavailable)):
                await api.get("/ops/topology")
