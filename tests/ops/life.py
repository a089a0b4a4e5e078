"""A chunk that lives by itself, and what a shard would keep of it: histories for tests."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from common.commands import Command, MoveTo, Say
from common.grid import AgentId, ChunkId, CommandId, Epoch, SessionId, Tick
from common.journal import History, Row, Snapshot
from shard.world.codec import digest, encode_chunk, encode_input, new_chunk
from shard.world.inputs import Enter, Input, Order
from shard.world.state import Chunk
from shard.world.terrain import terrain_of
from shard.world.tick import advance

CHUNK, EPOCH, SEED = ChunkId("0:0"), Epoch(7), 1
FLOOR = terrain_of(SEED, CHUNK, 1).floor()


def an_order(seq: int, command: Command, name: str = "ann") -> Order:
    return Order(AgentId(name), SessionId(f"ses_{name}"), CommandId(f"c{seq}"), seq, command)


@attrs.define
class Life:
    """A chunk that lives, and what a shard would keep of it."""

    chunk: Chunk = attrs.field(factory=lambda: new_chunk(CHUNK, 1, SEED, Tick(0)))
    rows: list[Row] = attrs.field(factory=list)
    snapshots: list[Snapshot] = attrs.field(factory=list)
    was: dict[Tick, Chunk] = attrs.field(factory=dict)

    def tick(self, *inputs: Input) -> None:
        tick, before = Tick(self.chunk.tick + 1), digest(self.chunk)
        for n, told in enumerate(inputs):
            first = before if n == 0 else None
            self.rows.append(Row(CHUNK, EPOCH, tick, n, encode_input(told), digest=first))
        self.chunk = advance(self.chunk, inputs).chunk
        self.was[tick] = self.chunk

    def save(self) -> None:
        chunk = self.chunk
        state, of_it = encode_chunk(chunk), digest(chunk)
        self.snapshots.append(Snapshot(CHUNK, EPOCH, chunk.tick, state, of_it))

    def history(self) -> History:
        rows = [r for r in self.rows if not self.snapshots or r.tick > self.snapshots[0].tick]
        return History(CHUNK, 1, Tick(0), tuple(self.snapshots), tuple(rows))


def a_life(magic_at: int = 0) -> Life:
    """Heard: ticks 1, 3 (two at once), 20, 30, 60. Saved: 10 and 40. They walk
    until the fifties, and stand then.

    At ``magic_at`` something happens that is in no rule.
    """
    life = Life()
    told: dict[int, Sequence[Input]] = {
        1: [Enter(AgentId(n), SessionId(f"ses_{n}"), n) for n in ("ann", "bob")],
        3: [an_order(1, MoveTo(*FLOOR[-1])), an_order(1, MoveTo(*FLOOR[0]), "bob")],
        20: [an_order(2, Say("hello"))],
        30: [an_order(4, Say("hello again"))],
        60: [an_order(6, Say("still here"))],
    }
    for tick in range(1, 71):
        life.tick(*told.get(tick, ()))
        if tick == magic_at:
            crowd = [attrs.evolve(agent, name="eve") for agent in life.chunk.agents.values()]
            life.chunk = attrs.evolve(life.chunk, agents={agent.id: agent for agent in crowd})
        if tick in (10, 40):
            life.save()
    return life
