"""Which chunks a change leaves where they are, and when it has cost one of them too much."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import pytest

from common.grid import ChunkId, Slot, Tick, chunk_id, slot_of
from common.limits import TICK_SECONDS
from common.topology import Topology
from ops.chaos.change import MOVING, STAYING, Change, Chunks, Holders
from ops.chaos.findings import Findings
from ops.chaos.tempo import Tempo

BEFORE, AFTER = Topology(1, 8), Topology(2, 1)


def a_chunk(slot: int) -> ChunkId:
    return next(one for one in (chunk_id(n, 0) for n in range(99)) if slot_of(one, 8) == slot)


STAYING_CHUNK, MOVING_CHUNK = a_chunk(0), a_chunk(3)
CHUNKS = Chunks(BEFORE, AFTER, {Slot(0): {"one"}, Slot(3): {"two"}})
SINCE, UNTIL = 6.0, 8.0


def seen(*looks: str) -> Mapping[Slot, set[str]]:
    """Who is seen to have had slot 0, by what each look found."""
    holders = Holders()
    for at, process in enumerate(looks):
        holders.see({Slot(0): process} if process else {}, at)
    return {slot: set(processes) for slot, processes in holders.between(1, 3).items()}


def change_with(pauses: Mapping[ChunkId, float]) -> Change:
    """Ticks for some seconds before and after; each chunk stands still for its pause meanwhile."""
    tempo = Tempo()
    for chunk, pause in pauses.items():
        for tick in range(60):
            due = tick * TICK_SECONDS
            tempo.hear(chunk, Tick(tick), due + (pause if due > SINCE else 0.0))
    losses = tempo.losses(SINCE, UNTIL)
    assert losses.keys() == pauses.keys()
    return Change.of("8 to 1 shards", SINCE, UNTIL, losses, CHUNKS)


def found(change: Change) -> set[str]:
    findings = Findings()
    change.judge(findings)
    return {violation.promise for violation in findings.violations}


def test_who_stays_keeps_the_slot_and_the_process() -> None:
    assert CHUNKS.stays(STAYING_CHUNK)
    assert not CHUNKS.stays(MOVING_CHUNK)
    other = attrs.evolve(CHUNKS, held={Slot(0): {"one", "two"}})
    assert not other.stays(STAYING_CHUNK)
    assert not attrs.evolve(CHUNKS, held={}).stays(STAYING_CHUNK)


def test_a_slot_that_goes_to_another_and_comes_back_does_not_stay() -> None:
    assert seen("one", "one", "two", "one", "one") == {Slot(0): {"one", "two"}}


def test_who_lets_go_of_a_slot_and_takes_it_again_has_kept_it() -> None:
    """So the pause is judged as one that must not be."""
    assert seen("one", "one", "", "one", "one") == {Slot(0): {"one"}}


def test_who_had_a_slot_before_or_later_is_of_no_interest() -> None:
    assert seen("two", "one", "one", "one", "two") == {Slot(0): {"one"}}


def test_pauses_within_the_promise_are_told_and_not_complained_of() -> None:
    change = change_with({MOVING_CHUNK: 0.7, STAYING_CHUNK: 0.2})
    assert change.moved == pytest.approx([0.7 + TICK_SECONDS])
    assert change.staying == pytest.approx([0.2])
    assert found(change) == set()


def test_a_chunk_that_moves_and_stands_still_for_a_second_is_found() -> None:
    assert found(change_with({MOVING_CHUNK: 0.9, STAYING_CHUNK: 0.0})) == {MOVING}


def test_a_chunk_that_stays_and_is_later_than_a_tick_is_found() -> None:
    assert found(change_with({MOVING_CHUNK: 0.5, STAYING_CHUNK: 0.3})) == {STAYING}


@pytest.mark.parametrize(("slow", "quick", "promises"), [(1, 99, {MOVING}), (1, 100, set())])
def test_one_move_in_a_hundred_may_take_longer(slow: int, quick: int, promises: set[str]) -> None:
    moved = [1.5] * slow + [0.4] * quick
    assert found(Change("4 to 3 shards", SINCE, 1.0, moved=moved)) == promises


def test_one_chunk_that_stays_and_is_late_is_found_among_hundreds() -> None:
    staying = [0.0] * 500 + [0.3]
    assert found(Change("4 to 3 shards", SINCE, 1.0, staying=staying)) == {STAYING}
