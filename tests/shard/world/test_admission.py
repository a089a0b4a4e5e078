"""Which commands are accepted, and with which number."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest

from common.commands import Command, MoveTo, Say, Wait
from common.grid import AgentId, CommandId, SessionId, Tick, TransferId, chunk_id
from shard.world.admission import Admission, Held, NotHere, Refusal, WrongSession, admit
from shard.world.inputs import Arrive, Enter, Input, Leave, Order, Settle, Withdraw
from shard.world.state import Agent, Chunk, Doing, Waiting
from shard.world.terrain import terrain_of

TERRAIN = terrain_of(7, chunk_id(0, 0), 1)
SPOT = TERRAIN.floor()[0]
ME, MINE = AgentId("agt_me"), SessionId("ses_mine")
ID = CommandId("c-1")
WAITING = Waiting(CommandId("w"), 9)


def me(doing: Doing | None = None, seq: int = 4) -> Agent:
    return Agent(ME, "me", MINE, seq, *SPOT, doing)


def decide(
    command: Command, waiting: Sequence[Input] = (), agent: Agent | None = None
) -> Admission:
    present = me() if agent is None else agent
    chunk = Chunk(chunk_id(0, 0), 1, 7, Tick(4), Tick(2), {present.id: present})
    return admit(chunk, waiting, MINE, ME, ID, command)


def an_order(command: Command, id: str = "c-0", seq: int = 5) -> Order:
    return Order(ME, MINE, CommandId(id), seq, command)


def test_an_order_is_numbered_after_the_agents_last() -> None:
    assert decide(Wait(1)) == Order(ME, MINE, ID, 5, Wait(1))


def test_orders_that_wait_are_counted() -> None:
    other = attrs.evolve(an_order(Say("x")), agent=AgentId("agt_other"))
    waiting = [an_order(Say("a")), other, an_order(Say("b"), "c-00", 6)]
    assert decide(Wait(1), waiting) == Order(ME, MINE, ID, 7, Wait(1))


@pytest.mark.parametrize("goal", [(250, 3), (-201, 3), (3, 2**31), (-(2**31), 2**31)])
def test_farther_than_four_chunks_is_out_of_range(goal: tuple[int, int]) -> None:
    assert decide(MoveTo(*goal)) == Refusal("out_of_range")


@pytest.mark.parametrize("goal", [(249, 3), (-200, -200), (249, 249)])
def test_four_chunks_away_is_in_range(goal: tuple[int, int]) -> None:
    assert isinstance(decide(MoveTo(*goal)), Order)


def test_what_is_no_floor_of_this_chunk_is_not_walkable() -> None:
    walls = [(x, y) for x in range(50) for y in range(50) if not TERRAIN.is_floor(x, y)]
    assert decide(MoveTo(*walls[0])) == Refusal("not_walkable")
    assert isinstance(decide(MoveTo(*TERRAIN.floor()[-1])), Order)


def test_one_command_is_in_flight_and_say_is_excepted() -> None:
    assert decide(Wait(1), agent=me(WAITING)) == Refusal("in_flight")
    assert decide(Wait(1), [an_order(MoveTo(*SPOT))]) == Refusal("in_flight")
    assert isinstance(decide(Say("x"), agent=me(WAITING)), Order)
    assert isinstance(decide(Wait(1), [an_order(Say("x"))]), Order)


def test_a_withdrawn_command_is_no_longer_in_flight() -> None:
    withdrawal = Withdraw(ME, MINE, CommandId("w"))
    assert isinstance(decide(Wait(1), [withdrawal], me(WAITING)), Order)
    another = Withdraw(ME, SessionId("ses_old"), CommandId("w"))
    assert decide(Wait(1), [another], me(WAITING)) == Refusal("in_flight")
    refilled: list[Input] = [withdrawal, an_order(Wait(2))]
    assert decide(Wait(1), refilled, me(WAITING)) == Refusal("in_flight")


def test_who_is_not_here_is_elsewhere() -> None:
    assert decide(Wait(1), agent=attrs.evolve(me(), id=AgentId("agt_other"))) == NotHere()


def test_who_is_driven_by_another_session_is_told_apart() -> None:
    other = attrs.evolve(me(), session=SessionId("ses_new"))
    assert decide(Wait(1), agent=other) == WrongSession(SessionId("ses_new"))


def test_who_is_frozen_at_a_border_is_held() -> None:
    assert decide(Say("x"), agent=attrs.evolve(me(), transfer=TransferId("t"))) == Held()


@pytest.mark.parametrize(
    "told",
    [
        Enter(ME, SessionId("ses_new"), "me"),
        Leave(ME, MINE),
        Settle(TransferId("t"), ME, chunk_id(1, 0), True),
        Arrive(TransferId("t"), chunk_id(1, 0), me()),
    ],
)
def test_who_is_about_to_come_or_go_is_held(told: Input) -> None:
    assert decide(Wait(1), [told]) == Held()
    assert decide(Wait(1), [told], attrs.evolve(me(), id=AgentId("agt_other"))) == Held()
