from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.compose.stack import SHARDS, Stack, a_stack, images, why_not


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One for all tests: each leaves it as it was, ready and with two shards."""
    if reason := why_not():
        pytest.skip(reason)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # It is taken down then, too.
    with a_stack(tmp_path_factory.mktemp("stack"), images()) as stack:
        yield stack


@pytest.fixture
def left_as_it_was(stack: Stack) -> Iterator[None]:
    yield
    if stack.shards != SHARDS:
        stack.up(SHARDS)
    stack.wait_ready()
