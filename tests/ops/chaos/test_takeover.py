from __future__ import annotations

import pytest

from common.grid import ChunkId, Epoch, Slot, Tick
from common.topology import SlotBeat
from ops.chaos.takeover import Look, Published, Takeover

SLOT, HOME = Slot(0), ChunkId("0:0")


def a_look(lease: str | None, beat: SlotBeat | None, epoch: int, tick: int) -> Look:
    leases = {SLOT: lease} if lease is not None else {}
    beats = {SLOT: beat} if beat is not None else {}
    return Look(leases, beats, {HOME: Published(Epoch(epoch), Tick(tick))})


def a_beat(holder: str, agents: int) -> SlotBeat:
    return SlotBeat(holder, 1, agents, 0.0, {HOME: agents})


def a_takeover(agents: int = 3) -> Takeover:
    """Of a slot that ``old`` held, with so many in its one chunk."""
    return Takeover.of(SLOT, "old", a_look("old/1", a_beat("old/1", agents), 1, 50))


OLD = a_beat("old/1", 3)


@pytest.mark.parametrize(
    "look",
    [
        a_look("old/1", OLD, 1, 60),
        a_look(None, OLD, 2, 60),
        a_look("old/2", a_beat("old/2", 3), 2, 60),
        a_look("new/1", None, 1, 60),
        a_look("new/1", OLD, 2, 60),
        a_look("new/1", a_beat("new/1", 0), 2, 60),
        Look({SLOT: "new/1"}),
    ],
    ids=[
        "the old one goes on",
        "nobody has it",
        "the old one has it again",
        "what was published later is the old one's",
        "a newer epoch, no tick of it",
        "it has not loaded anybody",
        "nothing is known",
    ],
)
def test_a_slot_is_not_served_yet(look: Look) -> None:
    takeover = a_takeover()
    assert not takeover.is_over(look)
    assert not takeover.is_over(look)


def test_it_is_served_once_the_new_holder_publishes() -> None:
    takeover = a_takeover()
    assert not takeover.is_over(a_look("new/1", None, 2, 52))
    assert takeover.is_over(a_look("new/1", None, 2, 53))


def test_what_the_old_holder_said_last_is_not_the_new_ones() -> None:
    takeover = a_takeover()
    assert not takeover.is_over(a_look("new/1", None, 1, 52))
    assert not takeover.is_over(a_look("new/1", None, 1, 53))


def test_a_third_holder_begins_anew() -> None:
    takeover = a_takeover()
    assert not takeover.is_over(a_look("new/1", None, 2, 52))
    assert not takeover.is_over(a_look("newer/1", None, 3, 53))


def test_it_is_served_once_the_new_holder_has_somebody() -> None:
    assert a_takeover().is_over(a_look("new/1", a_beat("new/1", 1), 2, 50))


def test_where_nobody_was_a_beat_is_enough() -> None:
    assert a_takeover(agents=0).is_over(a_look("new/1", a_beat("new/1", 0), 1, 50))
