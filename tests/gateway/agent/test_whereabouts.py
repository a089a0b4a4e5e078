"""Where an agent is: by its chunk's stream, by a shard's word, and when to ask for it."""

from __future__ import annotations

from common.bus import Delta
from common.envelopes import Attached
from common.events import Entered, Event, Left
from common.frames import Position
from common.grid import AgentId, ChunkId, Tick
from gateway.agent.whereabouts import Crossings, Gone, Whereabouts
from gateway.stream.feeds import FeedDelta, Static
from tests.gateway.agent.builders import AGENT, CHUNK, SESSION, a_result

THERE = ChunkId("1:0")


def a_static(*agents: str, chunk: ChunkId = CHUNK) -> Static:
    listed = ",".join(f'{{"id":"{agent}","kind":"agent","x":1,"y":1}}' for agent in agents)
    return Static(chunk, 1, Tick(3), f'{{"entities":[{listed}]}}'.encode())


def attached(chunk: ChunkId) -> Attached:
    return Attached(SESSION, AGENT, chunk, Position(60, 3), 4)


def looks(where: Whereabouts, count: int = 9) -> list[bool]:
    return [where.look() for _ in range(count)]


def test_an_agent_that_is_seen_is_not_asked_for() -> None:
    where = Whereabouts(AGENT, CHUNK)
    where.see_static(a_static("agt_0", AGENT, "agt_11"))
    assert not any(looks(where))


def test_an_agent_that_its_chunk_does_not_show_is_asked_for_after_a_while_and_again() -> None:
    where = Whereabouts(AGENT, CHUNK)
    where.see_static(a_static("agt_11"))
    assert looks(where) == [False, False, True] * 3


def test_an_agent_that_enters_is_there() -> None:
    where = Whereabouts(AGENT, CHUNK)
    where.see_static(a_static())
    assert where.see_crossing(Entered(AGENT, "agent", 1, 1)) is None
    assert not any(looks(where))


def test_an_agent_that_leaves_for_a_chunk_is_looked_for_there() -> None:
    where = Whereabouts(AGENT, CHUNK)
    where.see_static(a_static(AGENT))
    assert where.see_crossing(Left(AGENT, "moved", THERE)) == THERE
    where.see_static(a_static(AGENT, chunk=CHUNK))
    assert any(looks(where)), "the chunk that it left says nothing"
    where.see_static(a_static(AGENT, chunk=THERE))
    assert not any(looks(where))


def test_an_agent_that_leaves_the_world_is_gone() -> None:
    assert Whereabouts(AGENT, CHUNK).see_crossing(Left(AGENT, "session_ended")) == Gone()


def test_a_shard_that_was_asked_is_believed() -> None:
    where = Whereabouts(AGENT, CHUNK)
    assert where.see_attached(attached(THERE)) == THERE
    assert where.see_attached(attached(THERE)) is None
    assert not any(looks(where))


def test_a_result_from_elsewhere_is_a_reason_to_ask() -> None:
    where = Whereabouts(AGENT, THERE)
    where.see_static(a_static(AGENT, chunk=THERE))
    where.see_result(a_result(2))
    assert any(looks(where))


def test_each_agents_crossing_is_found_in_the_delta_that_tells_it() -> None:
    crossings = Crossings()
    other = AgentId("agt_2")

    def a_delta(*events: Event) -> FeedDelta:
        return FeedDelta(Delta(CHUNK, Tick(4), Tick(3), b""), events)

    left, entered = Left(AGENT, "moved", THERE), Entered(other, "agent", 1, 1)
    first, second = a_delta(left, entered), a_delta()
    assert crossings.of(first, AGENT) == left
    assert crossings.of(first, other) == entered
    assert crossings.of(second, AGENT) is None
    assert crossings.of(first, AGENT) == left
