"""A small world of four chunks, run by its own seed: what holds in every tick, whatever happens.

The journey of a command, a session or a traveller is the shell's in miniature: admitted before
it is heard, asked across the border a tick later, settled a tick after that.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import wire
from common.commands import Command, MoveTo, Say, Wait
from common.frames import ChunkDelta
from common.grid import AgentId, ChunkId, CommandId, SessionId, Tick, chunk_id
from common.replica import Replica, as_static, fold, replica_of
from shard.world.admission import admit, is_held
from shard.world.chance import draw
from shard.world.codec import decode_chunk, digest, encode_chunk, new_chunk
from shard.world.effects import Arrived, Departing, Effect, Finished, Gone
from shard.world.inputs import Arrive, Enter, Input, Leave, Order, Settle, Withdraw, subject
from shard.world.show import static_of
from shard.world.state import Agent, Chunk
from shard.world.terrain import terrain_of
from shard.world.tick import TickResult, advance

SIDE = 2  # Chunks a side: enough for every kind of border.
CHUNKS = [chunk_id(cx, cy) for cx in range(SIDE) for cy in range(SIDE)]


@attrs.define
class Small:
    """A world whose clients do what ``seed`` says, with ``busy`` in a hundred of them a tick."""

    seed: int
    agents: int
    busy: int
    chunks: dict[ChunkId, Chunk] = attrs.field(init=False)
    inboxes: dict[ChunkId, list[Input]] = attrs.field(init=False)
    sessions: Counter[int] = attrs.field(factory=Counter)
    accepted: list[tuple[SessionId, CommandId, int]] = attrs.field(factory=list)
    finished: list[Finished] = attrs.field(factory=list)
    away: set[int] = attrs.field(factory=set)

    def __attrs_post_init__(self) -> None:
        self.chunks = {id: new_chunk(id, 1, self.seed, Tick(0)) for id in CHUNKS}
        self.inboxes = {id: [] for id in CHUNKS}
        for number in range(self.agents):
            self.inboxes[CHUNKS[number % len(CHUNKS)]].append(self._entering(number))

    def tick(self, quiet: bool = False) -> dict[ChunkId, tuple[Chunk, list[Input], TickResult]]:
        """Advance every chunk; return for each what it was, what it heard, and what came of it."""
        if not quiet:
            for number in range(self.agents):
                self._live(number)
        heard, self.inboxes = self.inboxes, {id: [] for id in CHUNKS}
        done = {}
        for id, before in self.chunks.items():
            result = advance(before, heard[id])
            done[id] = (before, heard[id], result)
            self.chunks[id] = result.chunk
            for effect in result.effects:
                self._carry(id, effect)
        return done

    def standing(self) -> Iterator[tuple[ChunkId, Agent]]:
        for id, chunk in self.chunks.items():
            for agent in chunk.agents.values():
                yield id, agent

    def on_their_way(self) -> set[str]:
        """Return those who were told to enter and have not been heard yet."""
        told = [told for inbox in self.inboxes.values() for told in inbox]
        return {subject(one) for one in told if isinstance(one, Enter)}

    def _carry(self, source: ChunkId, effect: Effect) -> None:
        match effect:
            case Departing(transfer=transfer, target=target, traveller=traveller):
                self.inboxes[target].append(Arrive(transfer, source, traveller))
            case Arrived(transfer=transfer, source=back, agent=agent, entered=entered):
                self.inboxes[back].append(Settle(transfer, agent, source, entered))
            case Finished():
                self.finished.append(effect)
            case Gone():
                self.away.add(int(effect.agent))
            case _:
                pass

    def _live(self, number: int) -> None:
        """Let client ``number`` do something now and then, if the shell would pass it on."""
        die = self._draw("die", number)
        if die % 100 >= self.busy:
            return
        if number in self.away:
            self.away.discard(number)
            self.inboxes[CHUNKS[number % len(CHUNKS)]].append(self._entering(number))
            return
        for id, chunk in self.chunks.items():
            agent = chunk.agents.get(AgentId(str(number)))
            if agent is None:
                continue
            own = [told for told in self.inboxes[id] if subject(told) == str(number)]
            if not is_held(agent, own):
                self._ask(id, agent, (die >> 8) % 40, number)
                return

    def _ask(self, id: ChunkId, agent: Agent, what: int, number: int) -> None:
        inbox = self.inboxes[id]
        if what == 0:
            inbox.append(Leave(agent.id, agent.session))
        elif what == 1:
            inbox.append(self._entering(number))
        elif what < 5:
            if agent.doing is not None:
                inbox.append(Withdraw(agent.id, agent.session, agent.doing.id))
        else:
            command = CommandId(f"c{self.chunks[id].tick}")
            order = admit(
                self.chunks[id], inbox, agent.session, agent.id, command, self._wish(what, number)
            )
            if isinstance(order, Order):
                inbox.append(order)
                self.accepted.append((order.session, order.id, order.seq))

    def _wish(self, what: int, number: int) -> Command:
        die = self._draw("wish", number)
        if what < 8:
            return Wait(1 + die % 20)
        if what < 11:
            return Say(f"{die}")
        return MoveTo(die % (50 * SIDE), (die >> 32) % (50 * SIDE))

    def _entering(self, number: int) -> Enter:
        self.sessions[number] += 1
        session = SessionId(f"{number}/{self.sessions[number]}")
        return Enter(AgentId(str(number)), session, f"n{number}")

    def _draw(self, *purpose: str | int) -> int:
        return draw(self.seed, self.chunks[CHUNKS[0]].tick, "client", *purpose)


worlds = st.builds(Small, st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 60))


@given(worlds)
@settings(max_examples=12)
def test_nobody_is_lost_or_doubled_or_off_the_floor(world: Small) -> None:
    for _ in range(80):
        world.tick()
        free = Counter(agent.id for _, agent in world.standing() if agent.transfer is None)
        frozen = Counter(agent.id for _, agent in world.standing() if agent.transfer is not None)
        assert max((*free.values(), *frozen.values()), default=1) == 1
        here = {*free, *frozen}
        gone = {str(number) for number in world.away} | world.on_their_way()
        assert here | gone == {str(number) for number in range(world.agents)}
        assert not here & {str(number) for number in world.away}
        cells = [(agent.x, agent.y) for _, agent in world.standing()]
        assert len(cells) == len(set(cells))
        for id, agent in world.standing():
            assert terrain_of(world.seed, id, 1).is_floor(agent.x, agent.y)


@given(worlds)
@settings(max_examples=8)
def test_the_order_of_arrival_does_not_matter(world: Small) -> None:
    for _ in range(50):
        for before, heard, result in world.tick().values():
            by_agent = sorted(heard, key=lambda told: draw(world.seed, 0, subject(told)))
            assert advance(before, by_agent) == result
            assert advance(decode_chunk(encode_chunk(before)), heard) == result


@given(worlds)
@settings(max_examples=8)
def test_events_folded_over_a_static_give_the_next_static(world: Small) -> None:
    replicas: dict[ChunkId, Replica] = {
        id: replica_of(static_of(chunk)) for id, chunk in world.chunks.items()
    }
    for _ in range(60):
        for id, (before, _, result) in world.tick().items():
            after = result.chunk
            assert after.tick == before.tick + 1
            assert after.changed == (after.tick if result.events else before.changed)
            if result.events:
                delta = ChunkDelta(id, after.changed, before.changed, list(result.events))
                replicas[id] = fold(replicas[id], delta)
            assert as_static(replicas[id]) == static_of(after)


@given(worlds)
@settings(max_examples=12)
def test_every_accepted_command_ends_once_and_every_number_is_given_once(world: Small) -> None:
    for _ in range(80):
        world.tick()
    for _ in range(900):
        world.tick(quiet=True)
    accepted = Counter((session, id) for session, id, _ in world.accepted)
    assert accepted == Counter((ended.session, ended.id) for ended in world.finished)
    numbers: dict[SessionId, list[int]] = {}
    for session, _, seq in world.accepted:
        numbers.setdefault(session, []).append(seq)
    for ended in world.finished:
        numbers.setdefault(ended.session, []).append(ended.seq)
    for given_out in numbers.values():
        assert sorted(given_out) == list(range(1, len(given_out) + 1))


def digests_of_a_run(ticks: int, agents: int) -> list[str]:
    """Return those of the chunks in the end, and that of all that was told on the way.

    If these change, old journals no longer replay.

    Then every running world must be saved (snapshots, empty journals) by the old release before
    the new one takes it over, and the changelog must say so.
    """
    world = Small(20_26, agents=agents, busy=20)
    crossings = 0
    told = hashlib.blake2b()
    for _ in range(ticks):
        done = world.tick()
        for _, _, result in done.values():
            told.update(f"{result.chunk.id}@{result.chunk.tick}".encode())
            for event in result.events:
                told.update(wire.encode(event))
        crossings += sum(
            isinstance(effect, Arrived) and effect.entered
            for _, _, result in done.values()
            for effect in result.effects
        )
    reasons = Counter(ended.reason for ended in world.finished)
    assert crossings > ticks // 2
    assert {None, "blocked", "unreachable", "cancelled", "session_ended"} <= set(reasons)
    return [*(digest(world.chunks[id])[:12] for id in CHUNKS), told.hexdigest()[:12]]


@pytest.mark.slow
def test_10_000_ticks_of_200_agents_are_the_same_to_the_last_byte() -> None:
    assert digests_of_a_run(10_000, agents=200) == [
        "a8d239d50b49",
        "b33d45b615d5",
        "c3a6b94a2f41",
        "633876e79591",
        "cc2b12d066c2",
    ]


@pytest.mark.slow
def test_2_000_ticks_of_100_agents_are_the_same_to_the_last_byte() -> None:
    assert digests_of_a_run(2_000, agents=100) == [
        "e58079e9f605",
        "ba67aadea034",
        "3f5b09a98c35",
        "1d9026922204",
        "bc5db9b1b161",
    ]
