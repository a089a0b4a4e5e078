from __future__ import annotations

import pytest

from common.grid import AgentId, ChunkId
from shard.trails import Trails

ANN, BOB, CAT = AgentId("ann"), AgentId("bob"), AgentId("cat")


def test_the_last_departure_counts_until_the_agent_comes_back() -> None:
    trails = Trails()
    trails.left(ANN, ChunkId("1:0"))
    trails.left(ANN, ChunkId("2:0"))
    assert trails.get(ANN) == "2:0"
    trails.came(ANN)
    assert trails.get(ANN) is None


def test_the_oldest_departure_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shard.trails.TRAILS_MAX", 2)
    trails = Trails()
    for agent in (ANN, BOB, ANN, CAT):
        trails.left(agent, ChunkId("1:0"))
    assert [trails.get(agent) is not None for agent in (ANN, BOB, CAT)] == [True, False, True]
