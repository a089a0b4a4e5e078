from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

import httpx
import pytest
import trio
from prometheus_client import CollectorRegistry, Counter

from common.adapters.private_port import Missing, serve_private

OURS, ANOTHERS = CollectorRegistry(), CollectorRegistry()
STEPS = Counter("tessera_test_private_port_steps", "Of this process alone", registry=OURS)
FOREIGN = Counter("tessera_test_foreign", "What another kind of process counts", registry=ANOTHERS)


@asynccontextmanager
async def _served(ready: Missing) -> AsyncIterator[httpx.AsyncClient]:
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        port: int = await nursery.start(partial(serve_private, 0, ready, OURS, stop=stop))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=5) as client:
            yield client
        stop.set()


async def _nothing_missing() -> Mapping[str, str]:
    return {}


async def test_a_process_that_lives_is_healthy() -> None:
    async with _served(_nothing_missing) as client:
        answer = await client.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_a_process_that_misses_nothing_is_ready() -> None:
    async with _served(_nothing_missing) as client:
        answer = await client.get("/readyz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_an_unready_process_says_what_is_missing_and_is_healthy() -> None:
    async def ready() -> Mapping[str, str]:
        return {"redis": "unreachable"}

    async with _served(ready) as client:
        answer = await client.get("/readyz")
        health = await client.get("/healthz")

    assert answer.status_code == 503
    assert answer.json() == {"status": "unready", "redis": "unreachable"}
    assert health.status_code == 200


async def test_metrics_are_prometheus_text() -> None:
    STEPS.inc()
    async with _served(_nothing_missing) as client:
        answer = await client.get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain")
    assert "tessera_test_private_port_steps_total 1.0" in answer.text
    assert "tessera_test_foreign" not in answer.text


async def test_there_is_nothing_else_to_see_or_to_change() -> None:
    async with _served(_nothing_missing) as client:
        assert (await client.get("/")).status_code == 404
        assert (await client.post("/healthz")).status_code == 405


async def test_it_listens_where_it_is_told() -> None:
    """A container's is for others of its network; by default it is this machine's own."""
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        port: int = await nursery.start(
            partial(serve_private, 0, _nothing_missing, OURS, stop=stop, host="127.0.0.2")
        )
        async with httpx.AsyncClient(timeout=5) as client:
            answer = await client.get(f"http://127.0.0.2:{port}/healthz")
            with pytest.raises(httpx.ConnectError):
                await client.get(f"http://127.0.0.1:{port}/healthz")
        stop.set()

    assert answer.status_code == 200
