"""A chunk comes out of its history as it was; and each way in which it can differ has its tick."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import pytest

from common.commands import Wait
from common.grid import AgentId, SessionId, Tick
from common.journal import History, Row, Snapshot
from ops.rebuild import Rebuilding
from shard.world.codec import digest, encode_chunk, encode_input, new_chunk
from shard.world.inputs import Enter
from shard.world.state import Chunk
from tests.ops.life import CHUNK, EPOCH, SEED, Life, a_life, an_order


@pytest.fixture
def life() -> Life:
    return a_life()


def rebuilt(history: History, until: int) -> tuple[Rebuilding, list[Chunk]]:
    rebuilding = Rebuilding(history, SEED)
    return rebuilding, list(rebuilding.ticks(Tick(until)))


def test_every_tick_comes_out_as_it_was(life: Life) -> None:
    rebuilding, chunks = rebuilt(life.history(), 70)
    assert chunks == [life.was[chunk.tick] for chunk in chunks]
    assert [chunk.tick for chunk in chunks[:40]] == list(range(10, 50))
    assert chunks[-1] == life.chunk
    assert rebuilding.differences == []
    # Ticks 19, 29 and 59 in the journal; 10 and 40 in snapshots, of which 10 was gone on from.
    assert (rebuilding.compared, rebuilding.heard) == (4, 3)


def test_a_tick_is_not_gone_beyond(life: Life) -> None:
    _, chunks = rebuilt(life.history(), 25)
    assert chunks[-1] == life.was[Tick(25)]


def test_without_a_snapshot_it_begins_with_an_empty_chunk(life: Life) -> None:
    life.snapshots = []
    rebuilding, chunks = rebuilt(life.history(), 70)
    assert chunks[0] == new_chunk(CHUNK, 1, SEED, Tick(0))
    assert chunks[1:] == [life.was[chunk.tick] for chunk in chunks[1:]]
    assert chunks[-1] == life.chunk
    assert (rebuilding.differences, rebuilding.compared, rebuilding.heard) == ([], 5, 7)


def test_a_quiet_stretch_is_passed_in_one_step() -> None:
    life = Life()
    life.tick(Enter(AgentId("ann"), SessionId("ses_ann"), "ann"))
    rebuilding, chunks = rebuilt(life.history(), 10**12)
    assert [chunk.tick for chunk in chunks] == [0, 1, 10**12]
    assert rebuilding.differences == []


def test_rows_of_before_there_were_digests_are_replayed_all_the_same(life: Life) -> None:
    life.rows = [attrs.evolve(row, digest=None) for row in life.rows]
    rebuilding, chunks = rebuilt(life.history(), 70)
    assert chunks[-1] == life.chunk
    assert (rebuilding.differences, rebuilding.compared) == ([], 1)


# What can differ

Harm = Callable[[Row], Sequence[Row]]


def other_words(row: Row) -> Sequence[Row]:
    return [attrs.evolve(row, body=row.body.replace(b"hello", b"adieu"))]


def no_json(row: Row) -> Sequence[Row]:
    return [Row(row.chunk, row.epoch, row.tick, row.ordinal, b"{", digest=row.digest)]


def for_nobody(row: Row) -> Sequence[Row]:
    body = encode_input(an_order(4, Wait(5), "nobody"))
    return [Row(row.chunk, row.epoch, row.tick, row.ordinal, body, digest=row.digest)]


def none_at_all(row: Row) -> Sequence[Row]:
    return []


@pytest.mark.parametrize(
    ("harm", "tick", "why"),
    [
        (other_words, 30, "its input 0 was changed after it was written"),
        (no_json, 30, "its input 0 cannot be read"),
        (for_nobody, 30, "the rules fail on it"),
        (none_at_all, 40, "its snapshot has another digest"),
    ],
)
def test_a_row_that_is_not_what_was_heard_is_named_by_its_tick(
    life: Life, harm: Harm, tick: int, why: str
) -> None:
    life.rows = [one for row in life.rows for one in (harm(row) if row.tick == 30 else [row])]
    rebuilding, chunks = rebuilt(life.history(), 70)
    (difference,) = rebuilding.differences
    assert difference.tick == tick
    assert why in str(difference)
    assert difference.same == (19 if harm is none_at_all else 29)
    # From the next snapshot on it is as it was.
    assert chunks[-1] == life.chunk


def test_one_of_several_inputs_that_is_missing_is_named_by_its_tick(life: Life) -> None:
    life.snapshots = []
    life.rows = [row for row in life.rows if (row.tick, row.ordinal) != (3, 0)]
    rebuilding, _ = rebuilt(life.history(), 70)
    assert str(rebuilding.differences[0]) == (
        "tick 3 differs: its input 0 is missing (tick 0 is still the same)"
    )


def test_a_tick_that_cannot_be_made_is_the_end_when_nothing_was_saved_later(life: Life) -> None:
    life.rows = [one for row in life.rows for one in (no_json(row) if row.tick == 60 else [row])]
    rebuilding, chunks = rebuilt(life.history(), 70)
    assert [difference.tick for difference in rebuilding.differences] == [60]
    assert chunks[-1] == life.was[Tick(59)]


def test_another_digest_is_named_by_the_tick_it_was_taken_of(life: Life) -> None:
    life.rows = [attrs.evolve(row, digest="other") if row.tick == 30 else row for row in life.rows]
    rebuilding, chunks = rebuilt(life.history(), 70)
    (difference,) = rebuilding.differences
    assert str(difference) == (
        "tick 29 differs: the journal has another digest of it (tick 19 is still the same)"
    )
    assert chunks[-1] == life.chunk


def test_other_rules_than_then_show_in_the_next_digest() -> None:
    life = a_life(magic_at=25)
    rebuilding, chunks = rebuilt(life.history(), 70)
    assert [(d.tick, d.same) for d in rebuilding.differences] == [(29, 19), (40, 19)]
    assert chunks[19] != life.was[Tick(29)]
    assert chunks[-1] == life.chunk


def test_a_snapshot_that_was_changed_is_named_by_its_tick(life: Life) -> None:
    state = life.snapshots[1].state.replace(b'"ann"', b'"eve"')
    life.snapshots[1] = attrs.evolve(life.snapshots[1], state=state)
    rebuilding, chunks = rebuilt(life.history(), 70)
    assert [d.tick for d in rebuilding.differences] == [40]
    assert "its snapshot was changed" in str(rebuilding.differences[0])
    assert chunks[-1] == life.chunk


def test_a_first_snapshot_that_cannot_be_read_is_passed_over(life: Life) -> None:
    life.snapshots[0] = attrs.evolve(life.snapshots[0], state=b"{")
    rebuilding, chunks = rebuilt(life.history(), 70)
    assert {d.tick for d in rebuilding.differences} == {10}
    assert (chunks[0], chunks[-1]) == (life.was[Tick(40)], life.chunk)


def test_it_goes_on_from_a_snapshot_that_differs(life: Life) -> None:
    life.was[Tick(40)] = other = new_chunk(CHUNK, 1, SEED, Tick(40))
    life.snapshots[1] = Snapshot(CHUNK, EPOCH, Tick(40), encode_chunk(other), digest(other))
    rebuilding, chunks = rebuilt(life.history(), 50)
    assert [d.tick for d in rebuilding.differences] == [40]
    assert (chunks[-1].tick, chunks[-1].agents) == (50, {})
