"""What orders do in the tick in which they are heard."""

from __future__ import annotations

import attrs
import pytest

from common.commands import Command, MoveTo, Say, Wait
from common.events import Failed, Said
from common.frames import Position
from common.grid import AgentId, CommandId, SessionId, Tick, chunk_id
from common.refusals import FailReason
from shard.world.effects import Finished
from shard.world.inputs import Input, Order, Withdraw
from shard.world.state import Agent, Chunk, Waiting
from shard.world.terrain import terrain_of
from shard.world.tick import advance

TERRAIN = terrain_of(7, chunk_id(0, 0), 1)
SPOT = TERRAIN.floor()[0]
ME, MINE = AgentId("agt_me"), SessionId("ses_mine")


def a_chunk(seq: int = 0, waiting: int = 0) -> Chunk:
    doing = Waiting(CommandId("w"), waiting) if waiting else None
    me = Agent(ME, "me", MINE, seq, *SPOT, doing)
    return Chunk(chunk_id(0, 0), 1, 7, Tick(4), Tick(2), {ME: me})


def an_order(command: Command, seq: int = 1, id: str = "c") -> Order:
    return Order(ME, MINE, CommandId(id), seq, command)


def finished(seq: int, id: str = "c", reason: FailReason | None = None) -> Finished:
    return Finished(MINE, CommandId(id), seq, Position(*SPOT), reason)


def test_what_is_said_is_heard_in_the_same_tick() -> None:
    result = advance(a_chunk(), [an_order(Say("hello"))])
    assert result.events == (Said(ME, "hello"),)
    assert result.effects == (finished(2),)


def test_one_can_say_something_while_doing_something() -> None:
    result = advance(a_chunk(seq=1, waiting=9), [an_order(Say("hello"), 2)])
    assert result.effects == (finished(3),)
    assert result.chunk.agents[ME].doing == Waiting(CommandId("w"), 8)


def test_results_are_numbered_after_all_acks_of_the_tick() -> None:
    orders = [an_order(Say("one"), 1, "c1"), an_order(Say("two"), 2, "c2")]
    assert advance(a_chunk(), orders).effects == (finished(3, "c1"), finished(4, "c2"))


def test_a_wait_ends_after_exactly_its_ticks() -> None:
    result = advance(a_chunk(), [an_order(Wait(3))])
    ended = [result.effects]
    for _ in range(3):
        result = advance(result.chunk, ())
        ended.append(result.effects)
    assert ended == [(), (), (), (finished(2),)]


def test_a_way_to_where_one_stands_is_done_at_once() -> None:
    assert advance(a_chunk(), [an_order(MoveTo(*SPOT))]).effects == (finished(2),)


def test_a_goal_that_is_no_floor_here_fails_at_once() -> None:
    wall = next((x, y) for x in range(50) for y in range(50) if not TERRAIN.is_floor(x, y))
    result = advance(a_chunk(), [an_order(MoveTo(*wall))])
    assert result.effects == (finished(2, reason="unreachable"),)
    assert result.events == (Failed(ME, "unreachable"),)


def test_a_withdrawn_command_fails_as_cancelled_and_nobody_is_told() -> None:
    result = advance(a_chunk(seq=1, waiting=9), [Withdraw(ME, MINE, CommandId("w"))])
    assert result.effects == (finished(2, "w", "cancelled"),)
    assert result.events == ()
    assert result.chunk.agents[ME].doing is None


def test_a_command_that_its_sessions_end_withdraws_says_so() -> None:
    told = Withdraw(ME, MINE, CommandId("w"), "session_ended")
    result = advance(a_chunk(seq=1, waiting=9), [told])
    assert result.effects == (finished(2, "w", "session_ended"),)
    assert result.events == ()


@pytest.mark.parametrize(
    "told",
    [
        Withdraw(ME, MINE, CommandId("other")),
        Withdraw(ME, SessionId("ses_old"), CommandId("w")),
        Withdraw(AgentId("agt_x"), MINE, CommandId("w")),
    ],
)
def test_what_is_not_in_flight_cannot_be_withdrawn(told: Withdraw) -> None:
    result = advance(a_chunk(waiting=9), [told])
    assert result.effects == ()
    assert result.chunk.agents[ME].doing == Waiting(CommandId("w"), 8)


def test_after_a_withdrawal_the_next_command_starts_in_the_same_tick() -> None:
    inputs: list[Input] = [Withdraw(ME, MINE, CommandId("w")), an_order(Wait(5), 2)]
    result = advance(a_chunk(seq=1, waiting=9), inputs)
    assert result.effects == (finished(3, "w", "cancelled"),)
    assert result.chunk.agents[ME].doing == Waiting(CommandId("c"), 5)


def test_a_second_command_in_flight_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="in flight"):
        advance(a_chunk(waiting=9), [an_order(Wait(5))])


def test_an_order_for_another_session_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="ses_old"):
        advance(a_chunk(), [attrs.evolve(an_order(Wait(5)), session=SessionId("ses_old"))])
