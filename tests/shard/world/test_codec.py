"""What was written can be read, and equal chunks are equal bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import wire
from common.commands import MoveTo, Say, Wait
from common.frames import Position
from common.grid import AgentId, ChunkId, CommandId, SessionId, Tick, TransferId, chunk_id
from shard.world import codec
from shard.world.inputs import Arrive, Enter, Input, Leave, Order, Settle, Withdraw
from shard.world.state import Agent, Chunk, Waiting, Walking

texts = st.text(max_size=20)
numbers = st.integers(-(2**31), 2**31)
counts = st.integers(0, 2**40)
ids = texts.map(AgentId)
sessions = texts.map(SessionId)
commands = texts.map(CommandId)
transfers = texts.map(TransferId)
chunks = st.builds(chunk_id, numbers, numbers)
walking = st.builds(
    Walking, commands, numbers, numbers, st.text("NESW"), counts.map(Tick), counts, counts, counts
)
doings = st.none() | st.builds(Waiting, commands, counts) | walking
agents = st.builds(
    Agent,
    ids,
    texts,
    sessions,
    counts,
    numbers,
    numbers,
    doings,
    st.none() | transfers,
    counts.map(Tick),
)
asked = (
    st.builds(MoveTo, numbers, numbers)
    | st.builds(Say, st.text(min_size=1, max_size=280))
    | st.builds(Wait, st.integers(1, 50))
)
inputs: st.SearchStrategy[Input] = st.one_of(
    st.builds(Enter, ids, sessions, texts, st.none() | st.builds(Position, numbers, numbers)),
    st.builds(Leave, ids, sessions),
    st.builds(Order, ids, sessions, commands, counts, asked),
    st.builds(Withdraw, ids, sessions, commands, st.sampled_from(["cancelled", "session_ended"])),
    st.builds(Arrive, transfers, chunks, agents),
    st.builds(Settle, transfers, ids, chunks, st.booleans()),
)


def a_chunk(id: ChunkId, crowd: list[Agent]) -> Chunk:
    return Chunk(id, 3, -7, Tick(9), Tick(4), {agent.id: agent for agent in crowd})


@given(chunks, st.lists(agents, max_size=5))
def test_chunks_come_back_as_they_were(id: ChunkId, crowd: list[Agent]) -> None:
    chunk = a_chunk(id, crowd)
    assert codec.decode_chunk(codec.encode_chunk(chunk)) == chunk


OLD_AGENT = (
    b'{"id":"a","name":"ann","session":"s","seq":4,"x":49,"y":7,"doing":{"id":"c","x":60,"y":7,'
    b'"path":"","start":0,"blocked":0,"refused":%d,"replans":0,"refusals":1,"type":"walking"}}'
)
OLD_SNAPSHOT = (
    b'{"id":"0:0","generation":1,"seed":7,"tick":90,"changed":88,"agents":[%b],"format":1}'
)


@pytest.mark.parametrize(("refused", "asks_from"), [(0, 0), (3, 94)])
def test_a_snapshot_of_the_format_before_is_read(refused: int, asks_from: int) -> None:
    """Its walker stood still in ticks 91 to 93, and was to ask again in 94."""
    chunk = codec.decode_chunk(OLD_SNAPSHOT % (OLD_AGENT % refused))
    (agent,) = chunk.agents.values()
    assert agent.asks_from == asks_from
    assert agent.doing == Walking(CommandId("c"), 60, 7, refusals=1)
    assert codec.decode_chunk(codec.encode_chunk(chunk)) == chunk


def test_a_traveller_of_the_format_before_is_read() -> None:
    old = (OLD_AGENT % 0).decode()
    agent = codec.decode_agent(old)
    assert agent.doing == Walking(CommandId("c"), 60, 7, refusals=1)
    row = f'{{"transfer":"t","source":"0:0","traveller":{old},"type":"arrive"}}'
    assert codec.decode_input(row.encode()) == Arrive(TransferId("t"), chunk_id(0, 0), agent)


@given(inputs)
def test_inputs_come_back_as_they_were(told: Input) -> None:
    assert codec.decode_input(codec.encode_input(told)) == told


@given(agents)
def test_travellers_come_back_as_they_were(agent: Agent) -> None:
    assert codec.decode_agent(codec.encode_agent(agent)) == agent


@given(st.lists(agents, max_size=5, unique_by=lambda agent: agent.id))
def test_the_order_of_coming_leaves_no_trace_in_the_bytes(crowd: list[Agent]) -> None:
    one, other = a_chunk(chunk_id(0, 0), crowd), a_chunk(chunk_id(0, 0), crowd[::-1])
    assert codec.encode_chunk(one) == codec.encode_chunk(other)
    assert codec.digest(one) == codec.digest(other)


def test_a_new_chunk_has_nobody_and_nothing_changed() -> None:
    assert codec.new_chunk(chunk_id(1, 2), 3, 7, Tick(5)) == Chunk(
        chunk_id(1, 2), 3, 7, Tick(5), Tick(5), {}
    )


def test_another_format_is_not_read_as_this_one() -> None:
    data = codec.encode_chunk(a_chunk(chunk_id(0, 0), []))
    with pytest.raises(wire.Malformed):
        codec.decode_chunk(data.replace(b'"format":2', b'"format":3'))
