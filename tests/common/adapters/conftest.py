"""A bench of each kind for the contract tests.

They name ``clock`` too, so that pytest-trio sees it: a mock clock for the memory, none (the real
time) for the server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio.testing

from tests.common.adapters.bench import Bench, open_bench


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.embedded)])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(kind: str, request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("redis_url") if kind == "redis" else None


@pytest.fixture
def clock(kind: str) -> trio.abc.Clock | None:
    return trio.testing.MockClock(autojump_threshold=0) if kind == "memory" else None


@pytest.fixture
async def bench(place: str | None) -> AsyncIterator[Bench]:
    async with open_bench(place) as bench:
        yield bench
