"""Recovery: the same chunk as if nothing had happened, and nothing said that was not said."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.commands import Command, MoveTo, Wait
from common.grid import AgentId, ChunkId, CommandId, Epoch, SessionId, Tick
from common.journal import PlacedFact, Row, Taken
from common.limits import LOST_TICKS
from shard.emission import Emission, emission_of
from shard.recovery import recover
from shard.world.codec import digest, digest_of, encode_chunk, encode_input, new_chunk
from shard.world.inputs import Enter, Input, Order, Settle
from shard.world.state import Chunk
from shard.world.terrain import terrain_of
from shard.world.tick import TickResult, advance
from tests.shard.world.test_codec import OLD_AGENT, OLD_SNAPSHOT

CHUNK, EPOCH, SEED = ChunkId("0:0"), Epoch(7), 1
FLOOR = terrain_of(SEED, CHUNK, 1).floor()


def an_enter(name: str = "ann") -> Enter:
    return Enter(AgentId(name), SessionId(f"ses_{name}"), name)


def an_order(command: Command, seq: int = 1, name: str = "ann") -> Order:
    return Order(AgentId(name), SessionId(f"ses_{name}"), CommandId(f"c{seq}"), seq, command)


@attrs.define
class Run:
    """A chunk that runs, and everything that is kept of it."""

    chunk: Chunk = attrs.field(factory=lambda: new_chunk(CHUNK, 1, SEED, Tick(0)))
    rows: list[Row] = attrs.field(factory=list)
    emissions: list[Emission] = attrs.field(factory=list)

    def tick(self, *inputs: Input) -> TickResult:
        before, tick = self.chunk, Tick(self.chunk.tick + 1)
        for ordinal, told in enumerate(inputs):
            self.rows.append(Row(CHUNK, EPOCH, tick, ordinal, encode_input(told)))
        result = advance(before, inputs)
        self.chunk = result.chunk
        if (emission := emission_of(before, EPOCH, result)) is not None:
            self.emissions.append(emission)
        return result

    def taken(self, saved: Chunk | None = None) -> Taken:
        tick = saved.tick if saved else Tick(0)
        return Taken(
            CHUNK,
            EPOCH,
            1,
            tick,
            encode_chunk(saved) if saved else None,
            digest(saved) if saved else None,
            tuple(row for row in self.rows if row.tick > tick),
        )

    @property
    def published(self) -> Tick:
        return max((d.tick for e in self.emissions for d in e.deltas), default=Tick(0))


def a_run(goal: MoveTo) -> Run:
    run = Run()
    run.tick(an_enter())
    run.tick(an_order(goal))
    return run


def deltas(emissions: Sequence[Emission]) -> list[Tick]:
    return [delta.tick for emission in emissions for delta in emission.deltas]


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, len(FLOOR) - 1))
@settings(max_examples=30)
def test_a_recovered_chunk_is_the_chunk_that_was_lost(before: int, after: int, goal: int) -> None:
    run = a_run(MoveTo(*FLOOR[goal]))
    for _ in range(before):
        run.tick()
    saved = run.chunk
    for _ in range(after):
        run.tick()
    recovered = recover(run.taken(saved), run.published, SEED)
    reference = run.chunk
    while recovered.chunk.tick > reference.tick:
        reference = advance(reference, ()).chunk
    shown = recovered.chunk
    while shown.tick < reference.tick:
        shown = advance(shown, ()).chunk
    assert encode_chunk(shown) == encode_chunk(reference)
    assert deltas(recovered.emissions) == []


def test_only_deltas_that_were_not_published_come_again() -> None:
    run = a_run(MoveTo(*FLOOR[len(FLOOR) // 2]))
    for _ in range(3):
        run.tick()
    run.tick(an_enter("bob"))
    all_ticks = deltas(run.emissions)
    recovered = recover(run.taken(), Tick(all_ticks[1]), SEED)
    assert deltas(recovered.emissions) == all_ticks[2:]


def test_acks_and_results_come_again_in_order_of_seq() -> None:
    run = Run()
    run.tick(an_enter())
    run.tick(an_order(Wait(1), 1))
    run.tick()
    run.tick(an_order(Wait(1), 3))
    run.tick()
    recovered = recover(run.taken(), run.published, SEED)
    lines = [line for emission in recovered.emissions for line in emission.lines]
    assert [(line.seq, line.tick) for line in lines] == [(1, 2), (2, 3), (3, 4), (4, 5)]


def test_a_silent_tick_whose_effects_may_be_known_is_not_decided_anew() -> None:
    """Standing at a border shows nothing; yet the neighbour may have been asked."""
    run = a_run(MoveTo(60, FLOOR[0][1]))
    while not any(e.asks for e in run.emissions):
        run.tick()
    assert run.published < run.chunk.tick
    recovered = recover(run.taken(), run.published, SEED)
    frozen = recovered.chunk.agents[AgentId("ann")]
    assert frozen.transfer == run.chunk.agents[AgentId("ann")].transfer is not None


def test_when_redis_has_lost_what_was_shown_ticks_do_not_go_back() -> None:
    run = a_run(MoveTo(*FLOOR[-1]))
    saved = run.chunk
    for _ in range(30):
        run.tick()
    recovered = recover(run.taken(saved), None, SEED)
    assert recovered.chunk.tick == saved.tick + LOST_TICKS


def test_where_agents_stood_on_the_way_is_not_recorded_again() -> None:
    run = a_run(MoveTo(60, FLOOR[0][1]))
    while not any(e.asks for e in run.emissions):
        run.tick()
    transfer = run.chunk.agents[AgentId("ann")].transfer
    assert transfer is not None
    run.tick(Settle(transfer, AgentId("ann"), ChunkId("1:0"), entered=True))
    run.tick(an_enter("bob"))
    recovered = recover(run.taken(), run.published, SEED)
    placed = [f for e in recovered.emissions for f in e.facts if isinstance(f, PlacedFact)]
    assert [(fact.agent, fact.present) for fact in placed] == [("bob", True)]


def test_a_chunk_that_an_older_version_saved_is_taken_over() -> None:
    """Its digest is that of the bytes, which this version would write otherwise."""
    state = OLD_SNAPSHOT % (OLD_AGENT % 3)
    taken = Taken(ChunkId("0:0"), EPOCH, 1, Tick(90), state, digest_of(state), (), is_final=True)
    chunk = recover(taken, Tick(88), 7).chunk
    assert chunk.tick == 90
    assert [agent.asks_from for agent in chunk.agents.values()] == [94]
    with pytest.raises(AssertionError, match="kept wrongly"):
        recover(attrs.evolve(taken, digest="other"), Tick(88), 7)
