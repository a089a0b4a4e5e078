"""The rule of movement, one sentence a test. Everybody stands in one clearing of one chunk."""

from __future__ import annotations

import attrs
import pytest

from common.commands import MoveTo
from common.events import Event, Failed, Moved
from common.grid import AgentId, ChunkId, CommandId, SessionId, Tick, chunk_id
from common.limits import BLOCKED_TICKS_MAX, REFUSALS_MAX, REFUSED_TICKS, REPLANS_MAX
from shard.world.effects import Departing, Effect, Finished
from shard.world.inputs import Order, Settle, Withdraw
from shard.world.state import Agent, Chunk, Waiting, Walking
from shard.world.terrain import Spot, terrain_of
from shard.world.tick import TickResult, advance
from shard.world.walking import barred_spots

HOME = chunk_id(0, 0)
TERRAIN = terrain_of(7, HOME, 1)
SIDE = 9


def _clearing() -> Spot:
    """Return the first cell of a square of SIDE cells of floor."""
    return next(
        (x, y)
        for x, y in TERRAIN.floor()
        if all(TERRAIN.is_floor(x + dx, y + dy) for dx in range(SIDE) for dy in range(SIDE))
    )


X, Y = _clearing()


def an_agent(id: str, x: int, y: int, path: str = "", goal: Spot | None = None) -> Agent:
    """Stand at (x, y) of the clearing and be on the way along ``path``, if there is one."""
    agent = Agent(AgentId(id), id, SessionId(f"ses_{id}"), 0, X + x, Y + y)
    if not path:
        return agent
    end = goal or (agent.x, agent.y)
    return attrs.evolve(agent, doing=Walking(CommandId(f"c-{id}"), *end, path, Tick(1)))


def a_chunk(*agents: Agent, id: ChunkId = HOME) -> Chunk:
    return Chunk(id, 1, 7, Tick(0), Tick(0), {agent.id: agent for agent in agents})


def spots(chunk: Chunk) -> dict[str, Spot]:
    return {id: (agent.x - X, agent.y - Y) for id, agent in chunk.agents.items()}


def run(chunk: Chunk, ticks: int) -> tuple[Chunk, list[Event], list[Effect]]:
    events: list[Event] = []
    effects: list[Effect] = []
    for _ in range(ticks):
        result = advance(chunk, ())
        chunk = result.chunk
        events += result.events
        effects += result.effects
    return chunk, events, effects


def order(agent: str, x: int, y: int) -> Order:
    command = MoveTo(X + x, Y + y)
    return Order(AgentId(agent), SessionId(f"ses_{agent}"), CommandId(f"c-{agent}"), 1, command)


def test_a_walker_starts_in_the_tick_of_its_order_and_ends_on_its_goal() -> None:
    result = advance(a_chunk(an_agent("a", 0, 0)), [order("a", 2, 0)])
    assert result.events == (Moved(AgentId("a"), X + 1, Y),)
    result = advance(result.chunk, ())
    assert spots(result.chunk) == {"a": (2, 0)}
    (finished,) = result.effects
    assert isinstance(finished, Finished)
    assert (finished.seq, finished.reason) == (2, None)
    assert (finished.position.x, finished.position.y) == (X + 2, Y)
    assert result.chunk.agents[AgentId("a")].doing is None


def test_a_contested_cell_goes_to_one_and_the_others_wait() -> None:
    chunk = a_chunk(an_agent("a", 0, 1, "EE"), an_agent("b", 1, 0, "SS"), an_agent("c", 2, 1, "WW"))
    result = advance(chunk, ())
    assert len(result.events) == 1
    assert sorted(spots(result.chunk).values()).count((1, 1)) == 1


def test_nobody_wins_every_race() -> None:
    winners: set[str] = set()
    for tick in range(20):
        a, b = an_agent("a", 0, 1, "EE"), an_agent("b", 1, 0, "SS")
        chunk = attrs.evolve(a_chunk(_from(a, tick), _from(b, tick)), tick=Tick(tick))
        winners.update(event.id for event in advance(chunk, ()).events)
    assert winners == {"a", "b"}


def _from(agent: Agent, tick: int) -> Agent:
    assert isinstance(agent.doing, Walking)
    return attrs.evolve(agent, doing=attrs.evolve(agent.doing, start=Tick(tick + 1)))


def test_a_queue_moves_up_whole() -> None:
    queue = [an_agent(name, x, 0, "EE") for x, name in enumerate("abcd")]
    assert spots(advance(a_chunk(*queue), ()).chunk) == {
        "a": (1, 0), "b": (2, 0), "c": (3, 0), "d": (4, 0),
    }  # fmt: skip


def test_a_queue_behind_somebody_who_stands_stays() -> None:
    queue = [an_agent("a", 0, 0, "EE"), an_agent("b", 1, 0, "EE"), an_agent("c", 2, 0)]
    assert advance(a_chunk(*queue), ()).events == ()


def test_three_may_not_push_two_who_want_each_others_cell() -> None:
    queue = [an_agent("a", 0, 0, "EE"), an_agent("b", 1, 0, "EE"), an_agent("c", 2, 0, "WW")]
    assert advance(a_chunk(*queue), ()).events == ()


def test_rings_turn() -> None:
    ring = [
        an_agent("a", 0, 0, "EE"), an_agent("b", 1, 0, "SS"),
        an_agent("c", 1, 1, "WW"), an_agent("d", 0, 1, "NN"),
    ]  # fmt: skip
    after = spots(advance(a_chunk(*ring), ()).chunk)
    assert after == {"a": (1, 0), "b": (1, 1), "c": (0, 1), "d": (0, 0)}


def test_two_may_not_swap() -> None:
    pair = [an_agent("a", 0, 0, "EE"), an_agent("b", 1, 0, "WW")]
    assert advance(a_chunk(*pair), ()).events == ()


def test_a_ring_of_three_turns_where_cells_would_allow_it() -> None:
    """Cells have no such rings, but the rule does not depend on that."""
    ring = {(1, 0): an_agent("a", 0, 0), (0, 1): an_agent("b", 1, 0), (0, 0): an_agent("c", 0, 1)}
    claims = {
        (X + x, Y + y): (agent, Walking(CommandId("c"), 0, 0)) for (x, y), agent in ring.items()
    }
    occupants = {(agent.x, agent.y): agent.id for agent in ring.values()}
    assert barred_spots(claims, occupants) == set()
    del claims[X, Y]
    assert barred_spots(claims, occupants) == set(claims)


def test_two_who_meet_head_on_get_past_each_other() -> None:
    chunk = a_chunk(an_agent("a", 2, 2), an_agent("b", 5, 2))
    first = advance(chunk, [order("a", 5, 2), order("b", 2, 2)])
    chunk, _, effects = run(first.chunk, 30)
    assert spots(chunk) == {"a": (5, 2), "b": (2, 2)}
    assert [effect.reason for effect in effects if isinstance(effect, Finished)] == [None, None]


def test_a_blocked_walker_waits_and_then_goes_round_who_stands() -> None:
    chunk = a_chunk(an_agent("a", 2, 2), an_agent("b", 4, 2))
    first = advance(chunk, [order("a", 6, 2)])
    waited, events, _ = run(first.chunk, BLOCKED_TICKS_MAX)
    assert events == []
    assert spots(waited)["a"] == (3, 2)
    chunk, events, effects = run(waited, 5)
    assert len(events) == 5
    assert spots(chunk)["a"] == (6, 2)
    assert [effect.reason for effect in effects if isinstance(effect, Finished)] == [None]


def test_a_walker_whose_goal_is_taken_fails_as_blocked_where_it_stands() -> None:
    chunk = a_chunk(an_agent("a", 2, 2), an_agent("b", 4, 2))
    first = advance(chunk, [order("a", 4, 2)])
    chunk, events, effects = run(first.chunk, BLOCKED_TICKS_MAX + 1)
    assert events == [Failed(AgentId("a"), "blocked")]
    (finished,) = effects
    assert isinstance(finished, Finished)
    assert finished.reason == "blocked"
    assert spots(chunk)["a"] == (3, 2)
    assert chunk.agents[AgentId("a")].doing is None


def test_a_walker_that_found_its_way_round_too_often_gives_up() -> None:
    for replans, reason in ((REPLANS_MAX - 1, None), (REPLANS_MAX, "blocked")):
        chunk = a_chunk(an_agent("a", 2, 2), an_agent("b", 4, 2))
        waited, _, _ = run(advance(chunk, [order("a", 6, 2)]).chunk, BLOCKED_TICKS_MAX)
        agent = waited.agents[AgentId("a")]
        assert isinstance(agent.doing, Walking)
        tired = attrs.evolve(agent, doing=attrs.evolve(agent.doing, replans=replans))
        _, _, effects = run(attrs.evolve(waited, agents={**waited.agents, tired.id: tired}), 5)
        assert [one.reason for one in effects if isinstance(one, Finished)] == [reason]


def test_a_walker_that_gets_free_again_forgets_that_it_was_blocked() -> None:
    chunk = a_chunk(an_agent("a", 2, 2), an_agent("b", 4, 2))
    chunk, _, _ = run(advance(chunk, [order("a", 6, 2)]).chunk, 2)
    walking = chunk.agents[AgentId("a")].doing
    assert isinstance(walking, Walking)
    assert walking.blocked == 2
    gone = {id: agent for id, agent in chunk.agents.items() if id == "a"}
    chunk, _, _ = run(attrs.evolve(chunk, agents=gone), 1)
    walking = chunk.agents[AgentId("a")].doing
    assert isinstance(walking, Walking)
    assert walking.blocked == 0
    assert spots(run(chunk, 2)[0])["a"] == (6, 2)


def test_who_waits_is_done_after_that_many_ticks() -> None:
    waiting = attrs.evolve(an_agent("a", 0, 0), doing=Waiting(CommandId("w"), 3))
    chunk, _, effects = run(a_chunk(waiting), 2)
    assert effects == []
    chunk, events, effects = run(chunk, 1)
    assert len(effects) == 1
    assert events == []
    assert chunk.changed == 0, "nobody saw anything"


# At the border


EXIT = TERRAIN.exits["E"][10]


def _at_the_exit(path: str = "E") -> Agent:
    agent = an_agent("a", EXIT[0] - X, EXIT[1] - Y, path, goal=(60, EXIT[1]))
    assert (agent.x, agent.y) == EXIT
    return agent


def _departed() -> tuple[TickResult, Departing]:
    result = advance(a_chunk(_at_the_exit()), ())
    (departing,) = result.effects
    assert isinstance(departing, Departing)
    return result, departing


def test_a_step_over_the_border_asks_the_neighbour() -> None:
    result, departing = _departed()
    assert result.events == ()
    assert departing.target == "1:0"
    assert (departing.traveller.x, departing.traveller.y) == (50, EXIT[1])
    assert departing.traveller.transfer is None
    assert departing.traveller.doing == Walking(CommandId("c-a"), 60, EXIT[1])
    frozen = result.chunk.agents[AgentId("a")]
    assert (frozen.x, frozen.y, frozen.transfer) == (*EXIT, departing.transfer)


def test_who_is_frozen_stays_until_it_is_settled() -> None:
    result, _ = _departed()
    chunk, events, effects = run(result.chunk, 20)
    assert chunk.agents == result.chunk.agents
    assert events == []
    assert effects == []


def test_transfers_have_names_of_their_own() -> None:
    _, one = _departed()
    _, same = _departed()
    later = advance(
        attrs.evolve(a_chunk(_from(_at_the_exit(), 5)), tick=Tick(5), generation=1), ()
    ).effects[0]
    assert isinstance(later, Departing)
    assert one.transfer == same.transfer != later.transfer


def _refuse(chunk: Chunk) -> TickResult:
    agent = chunk.agents[AgentId("a")]
    assert agent.transfer is not None
    return advance(chunk, [Settle(agent.transfer, agent.id, chunk_id(1, 0), False)])


def test_a_refused_walker_waits_and_asks_elsewhere() -> None:
    result = _refuse(_departed()[0].chunk)
    assert result.effects == ()
    chunk, events, effects = run(result.chunk, REFUSED_TICKS)
    assert events == []
    assert effects == []
    chunk, events, effects = run(chunk, 30)
    (departing,) = effects
    assert isinstance(departing, Departing)
    assert abs(departing.traveller.y - EXIT[1]) >= 3


def test_who_was_refused_asks_no_sooner_for_being_told_anew() -> None:
    refused = _refuse(_departed()[0].chunk).chunk
    (agent,) = refused.agents.values()
    assert agent.doing is not None
    withdrawn = advance(refused, [Withdraw(agent.id, agent.session, agent.doing.id, "cancelled")])
    told = Order(agent.id, agent.session, CommandId("again"), 2, MoveTo(60, EXIT[1]))
    result = advance(withdrawn.chunk, [told])
    chunk, _, effects = run(result.chunk, REFUSED_TICKS - 2)
    assert (*result.effects, *effects) == ()
    chunk, _, effects = run(chunk, 1)
    (departing,) = effects
    assert isinstance(departing, Departing)
    assert departing.traveller.asks_from == 0, "another chunk has another clock"


def test_after_three_refusals_it_fails() -> None:
    chunk = _departed()[0].chunk
    for _ in range(REFUSALS_MAX - 1):
        chunk, _, effects = run(_refuse(chunk).chunk, 40)
        assert [type(effect) for effect in effects] == [Departing]
    result = _refuse(chunk)
    assert result.events == (Failed(AgentId("a"), "boundary_refused"),)
    (finished,) = result.effects
    assert isinstance(finished, Finished)
    assert finished.reason == "boundary_refused"
    assert result.chunk.agents[AgentId("a")].transfer is None


@pytest.mark.parametrize("count", [2, 30, 120])
def test_a_crowd_that_wants_one_cell_comes_to_rest(count: int) -> None:
    floor = TERRAIN.floor()[:: len(TERRAIN.floor()) // count]
    agents = [an_agent(f"a{n:03}", x - X, y - Y) for n, (x, y) in enumerate(floor)]
    orders = [order(agent.id, 4, 4) for agent in agents]
    first = advance(a_chunk(*agents), orders)
    chunk, _, effects = run(first.chunk, 600)
    ended = [effect for effect in (*first.effects, *effects) if isinstance(effect, Finished)]
    assert len(ended) == len(agents)
    assert len(set(spots(chunk).values())) == len(agents)
