"""What was published follows from the journal, or the tick is named at which it does not."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest

from common.commands import Say
from common.frames import ChunkStatic
from common.grid import AgentId, Epoch, SessionId, Tick
from common.journal import History
from ops.chaos.archive import untrue
from ops.retelling import differences, retell
from ops.transcript import Original
from shard.emission import emission_of
from shard.world.inputs import Enter, Input
from shard.world.show import static_of
from shard.world.tick import advance
from tests.ops.life import SEED, Life, an_order


@attrs.define
class Told(Life):
    """A life that is published."""

    published: Original = attrs.field(factory=Original)
    statics: list[ChunkStatic] = attrs.field(factory=list)

    def tick(self, *inputs: Input) -> None:
        emission = emission_of(self.chunk, Epoch(1), advance(self.chunk, inputs))
        super().tick(*inputs)
        for delta in emission.deltas if emission is not None else ():
            self.published.add(delta.tick, delta.data)
            self.statics.append(static_of(self.chunk))


@pytest.fixture
def life() -> Told:
    told = Told()
    told.tick(Enter(AgentId("ann"), SessionId("ses_ann"), "ann"))
    for seq in range(1, 6):
        told.tick(an_order(seq, Say(f"hello {seq}"), "ann"))
        told.tick()
    return told


def found(published: Original, history: History) -> Sequence[str]:
    return list(differences(published, history, SEED))


def test_a_life_is_told_again_as_it_was(life: Told) -> None:
    assert len(life.published.ticks) > 5
    assert found(life.published, life.history()) == []
    retold = retell(life.history(), SEED, life.published.ticks[-1])
    assert retold.original.data == life.published.data


def test_a_delta_that_was_left_out_made_up_or_changed_is_named(life: Told) -> None:
    ticks = life.published.ticks
    for harm in ("left out", "made up", "changed"):
        harmed = Original([*ticks], dict(life.published.data))
        if harm == "left out":
            tick = harmed.ticks.pop(2)
            del harmed.data[tick]
        elif harm == "made up":
            tick = Tick(ticks[-1] + 1)
            harmed.add(tick, b"{}")
        else:
            tick = ticks[2]
            harmed.data[tick] = b"{}"
        (difference,) = found(harmed, life.history())
        assert f" at {tick} " in difference, harm


def test_a_static_that_was_otherwise_is_named(life: Told) -> None:
    assert untrue(life.statics, life.history(), SEED) == []
    harmed = [attrs.evolve(static, entities=[]) for static in life.statics]
    assert len(untrue(harmed, life.history(), SEED)) == len(life.statics)
