"""Entering, leaving, arriving and settling, one sentence a test."""

from __future__ import annotations

import attrs
import pytest

from common.commands import MoveTo, Wait
from common.events import Entered, Failed, Left
from common.frames import Position
from common.grid import AgentId, CommandId, SessionId, Tick, TransferId, chunk_id
from common.limits import CHUNK_AGENTS_MAX
from shard.world.effects import Arrived, Finished, Gone, Placed, Unplaced
from shard.world.inputs import Arrive, Enter, Input, Leave, Order, Settle
from shard.world.state import Agent, Chunk, Waiting, Walking
from shard.world.terrain import Spot, terrain_of
from shard.world.tick import advance

HOME = chunk_id(0, 0)
TERRAIN = terrain_of(7, HOME, 1)
FLOOR = TERRAIN.floor()
SPOT = FLOOR[0]
WEST = chunk_id(-1, 0)
ME, MINE = AgentId("agt_me"), SessionId("ses_mine")
ID = CommandId("c-1")


def an_agent(id: str = ME, spot: Spot = SPOT, seq: int = 0) -> Agent:
    return Agent(AgentId(id), id, MINE if id == ME else SessionId(f"ses_{id}"), seq, *spot)


def a_chunk(*agents: Agent) -> Chunk:
    return Chunk(HOME, 1, 7, Tick(4), Tick(2), {agent.id: agent for agent in agents})


def a_full_chunk() -> Chunk:
    return a_chunk(*(an_agent(f"a{n}", FLOOR[n + 1]) for n in range(CHUNK_AGENTS_MAX)))


def entering(at: Spot | None = None, session: SessionId = MINE) -> Enter:
    return Enter(ME, session, "me", Position(*at) if at else None)


def arriving(spot: Spot, goal: Spot, seq: int = 3) -> Arrive:
    traveller = attrs.evolve(an_agent(seq=seq), x=spot[0], y=spot[1], doing=Walking(ID, *goal))
    return Arrive(TransferId("t-1"), WEST, traveller)


def test_who_comes_back_enters_where_it_stood() -> None:
    result = advance(a_chunk(), [entering(SPOT)])
    assert result.events == (Entered(ME, "agent", *SPOT, name="me"),)
    assert result.effects == (Placed(ME, MINE, Position(*SPOT), 0, None),)
    assert result.chunk.agents == {ME: attrs.evolve(an_agent(), name="me")}
    assert result.chunk.changed == result.chunk.tick == 5


def test_if_its_cell_is_taken_it_enters_on_the_nearest() -> None:
    middle = FLOOR[900]
    result = advance(a_chunk(an_agent("other", middle)), [entering(middle)])
    me = result.chunk.agents[ME]
    assert abs(me.x - middle[0]) + abs(me.y - middle[1]) == 1


def test_if_its_cell_is_no_floor_it_enters_on_floor() -> None:
    wall = next((x, y) for x in range(50) for y in range(50) if not TERRAIN.is_floor(x, y))
    me = advance(a_chunk(), [entering(wall)]).chunk.agents[ME]
    assert TERRAIN.is_floor(me.x, me.y)


def test_a_newcomer_enters_on_a_drawn_cell() -> None:
    cells = set()
    for tick in range(20):
        chunk = attrs.evolve(a_chunk(), tick=Tick(tick))
        me = advance(chunk, [entering()]).chunk.agents[ME]
        cells.add((me.x, me.y))
    assert len(cells) > 15
    assert cells <= set(FLOOR)


def test_a_full_chunk_takes_nobody() -> None:
    chunk = a_full_chunk()
    result = advance(chunk, [entering()])
    assert result.effects == (Unplaced(ME, MINE),)
    assert result.events == ()
    assert result.chunk.agents == chunk.agents


def test_the_same_session_again_is_placed_again_and_nothing_changes() -> None:
    me = attrs.evolve(an_agent(seq=6), doing=Waiting(ID, 9))
    result = advance(a_chunk(me), [entering()])
    assert result.effects == (Placed(ME, MINE, Position(*SPOT), 6, ID),)
    assert result.events == ()
    assert result.chunk.agents[ME] == attrs.evolve(me, doing=Waiting(ID, 8))


def test_a_new_session_ends_what_the_old_one_had_in_flight() -> None:
    me = attrs.evolve(an_agent(seq=6), doing=Walking(ID, *FLOOR[99]))
    result = advance(a_chunk(me), [entering(session=SessionId("ses_new"))])
    assert result.effects == (
        Finished(MINE, ID, 7, Position(*SPOT), "session_ended"),
        Placed(ME, SessionId("ses_new"), Position(*SPOT), 0, None),
    )
    assert result.events == ()
    assert result.chunk.agents[ME] == attrs.evolve(an_agent(), session=SessionId("ses_new"))


def test_the_old_sessions_last_ack_and_the_new_ones_first_keep_their_numbers() -> None:
    new = SessionId("ses_new")
    inputs: list[Input] = [
        Order(ME, MINE, ID, 7, Wait(5)),
        entering(session=new),
        Order(ME, new, ID, 1, Wait(5)),
    ]
    result = advance(a_chunk(an_agent(seq=6)), inputs)
    assert [type(effect).__name__ for effect in result.effects] == ["Finished", "Placed"]
    finished = result.effects[0]
    assert isinstance(finished, Finished)
    assert (finished.session, finished.seq) == (MINE, 8)
    assert result.chunk.agents[ME].seq == 1


def test_who_leaves_ends_its_command_and_is_gone() -> None:
    me = attrs.evolve(an_agent(seq=2), doing=Waiting(ID, 9))
    result = advance(a_chunk(me), [Leave(ME, MINE)])
    assert result.events == (Left(ME, "session_ended"),)
    assert result.effects == (
        Finished(MINE, ID, 3, Position(*SPOT), "session_ended"),
        Gone(ME, MINE, Position(*SPOT)),
    )
    assert result.chunk.agents == {}


def test_leaving_for_another_session_or_nowhere_does_nothing() -> None:
    chunk = a_chunk(an_agent())
    for told in (Leave(ME, SessionId("ses_old")), Leave(AgentId("agt_x"), MINE)):
        result = advance(chunk, [told])
        assert (result.events, result.effects) == ((), ())
        assert result.chunk.agents == chunk.agents


def test_a_cell_that_was_left_in_this_tick_can_be_entered() -> None:
    inputs: list[Input] = [Leave(ME, MINE), Enter(ME, SessionId("ses_new"), "me", Position(*SPOT))]
    me = advance(a_chunk(an_agent()), inputs).chunk.agents[ME]
    assert (me.x, me.y) == SPOT


# Arriving

GATE = TERRAIN.exits["W"][10]
GOAL = next(spot for spot in FLOOR if spot[0] > 20)


def test_a_traveller_arrives_on_its_cell_and_walks_on_in_the_next_tick() -> None:
    result = advance(a_chunk(), [arriving(GATE, GOAL)])
    assert result.events == (Entered(ME, "agent", *GATE, name=ME, from_=WEST),)
    assert result.effects == (
        Arrived(TransferId("t-1"), WEST, ME, True),
        Placed(ME, MINE, Position(*GATE), 3, ID),
    )
    assert len(advance(result.chunk, ()).events) == 1


def test_a_traveller_arrives_beside_its_cell_when_that_is_taken() -> None:
    me = advance(a_chunk(an_agent("b", GATE)), [arriving(GATE, GOAL)]).chunk.agents[ME]
    assert max(abs(me.x - GATE[0]), abs(me.y - GATE[1])) == 1


def test_without_room_beside_it_a_traveller_is_refused() -> None:
    x, y = GATE
    around = [(x + dx, y + dy) for dx in (0, 1) for dy in (-1, 0, 1)]
    chunk = a_chunk(*(an_agent(f"b{n}", spot) for n, spot in enumerate(around)))
    result = advance(chunk, [arriving(GATE, GOAL)])
    assert result.effects == (Arrived(TransferId("t-1"), WEST, ME, False),)
    assert result.events == ()
    assert result.chunk.agents == chunk.agents


def test_a_full_chunk_refuses_travellers() -> None:
    result = advance(a_full_chunk(), [arriving(GATE, GOAL)])
    assert result.effects == (Arrived(TransferId("t-1"), WEST, ME, False),)


def test_a_traveller_that_arrives_on_its_goal_is_done() -> None:
    result = advance(a_chunk(), [arriving(GATE, GATE)])
    assert result.effects[-1] == Finished(MINE, ID, 4, Position(*GATE))


def test_a_traveller_whose_goal_is_no_floor_here_hears_it_at_once() -> None:
    wall = next((x, y) for x in range(50) for y in range(50) if not TERRAIN.is_floor(x, y))
    result = advance(a_chunk(), [arriving(GATE, wall)])
    assert result.effects[-1] == Finished(MINE, ID, 4, Position(*GATE), "unreachable")
    assert result.events[-1] == Failed(ME, "unreachable")


def test_an_arrival_of_somebody_who_is_here_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="arrives where it is"):
        advance(a_chunk(an_agent()), [arriving(GATE, GOAL)])


# Settling


def a_frozen_agent() -> Agent:
    return attrs.evolve(an_agent(), doing=Walking(ID, -9, 9), transfer=TransferId("t-2"))


def test_who_got_over_leaves_without_being_gone_from_the_world() -> None:
    result = advance(a_chunk(a_frozen_agent()), [Settle(TransferId("t-2"), ME, WEST, True)])
    assert result.events == (Left(ME, "moved", WEST),)
    assert result.effects == ()
    assert result.chunk.agents == {}


def test_an_outcome_told_twice_changes_nothing() -> None:
    told = Settle(TransferId("t-2"), ME, WEST, True)
    assert advance(a_chunk(a_frozen_agent()), [told, told]).events == (Left(ME, "moved", WEST),)
    for chunk in (a_chunk(), a_chunk(an_agent())):
        result = advance(chunk, [told])
        assert (result.events, result.effects) == ((), ())
        assert result.chunk.agents == chunk.agents


def test_who_is_frozen_may_not_be_ordered_about() -> None:
    for told in (Leave(ME, MINE), Order(ME, MINE, ID, 1, MoveTo(*GOAL))):
        with pytest.raises(AssertionError, match="frozen"):
            advance(a_chunk(a_frozen_agent()), [told])
