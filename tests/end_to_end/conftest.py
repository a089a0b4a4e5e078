"""One cluster serves all tests that leave it standing; the others start their own."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.conftest import a_folder
from tests.end_to_end.cluster import Cluster, tessera_up


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Two gateways, two shards, no bots, no limits on sign-ups; leave it standing."""
    with a_folder() as folder, tessera_up(folder / "data", gateways=2) as running:
        yield running
    assert running.process.returncode == 0


_names = (f"agent-{number}-{random.randrange(10**6)}" for number in range(10**6))


@pytest.fixture
def name() -> str:
    """A name that nobody has yet."""
    return next(_names)
